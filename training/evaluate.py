"""Measure a model: on rows it has not seen, and by repeated cross-validation."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)
from sklearn.model_selection import StratifiedKFold, train_test_split

from training.dataset import DataError, Dataset
from training.fit import fit, probabilities
from training.options import Options

LABELS: Final = (0, 1)

TITLES: Final = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "log_loss": "Log loss",
}
"""The figures, in the order in which they are shown."""


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending: what is trained on and what is held out."""

    training: npt.NDArray[np.intp]
    held_out: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Spread:
    """A figure over the repeats of a cross-validation."""

    mean: float
    sd: float


def split(data: Dataset, options: Options) -> Split:
    """Hold out rows, with the share of positive labels kept.

    Raises
    ------
    DataError
        If there are too few rows of a label to hold out some and to cross-validate.
    """
    for label in LABELS:
        count = int((data.labels == label).sum())
        if count < options.folds:
            raise DataError(
                f"expected at least {options.folds} rows with the label {label}, one a fold, "
                f"got {count}"
            )
    try:
        training, held_out = train_test_split(
            np.arange(len(data.labels)),
            test_size=options.test_size,
            stratify=data.labels,
            random_state=options.seed,
        )
    except ValueError as error:
        raise DataError(f"test_size {options.test_size:g} leaves too few rows: {error}") from error
    for name, rows in (("training", training), ("held-out", held_out)):
        if len(set(data.labels[rows])) != len(LABELS):
            raise DataError(
                f"test_size {options.test_size:g} leaves {len(rows)} {name} rows of one label: "
                "expected both labels on both sides"
            )
    return Split(np.sort(training), np.sort(held_out))


def figures(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Return the figures of `TITLES` for predicted probabilities, both of shape (n,)."""
    return {
        "auc": float(roc_auc_score(labels, predicted)),
        "average_precision": float(average_precision_score(labels, predicted)),
        "accuracy": float(accuracy_score(labels, predicted >= threshold)),
        "brier": float(brier_score_loss(labels, predicted)),
        "log_loss": float(log_loss(labels, predicted)),
    }


def cross_validate(data: Dataset, options: Options) -> dict[str, Spread]:
    """Return the figures of repeated stratified cross-validation over all rows.

    In each repeat every row is predicted once, by a model that has not seen it; the figures are
    those of all rows together, and their spread is over the repeats.
    """
    repeats = [
        figures(data.labels, _out_of_fold(data, options, repeat), options.threshold)
        for repeat in range(options.repeats)
    ]
    return {
        name: Spread(
            float(np.mean([repeat[name] for repeat in repeats])),
            float(np.std([repeat[name] for repeat in repeats])),
        )
        for name in TITLES
    }


def table(
    held_out: dict[str, float], cross_validated: dict[str, Spread], *, rows: int, options: Options
) -> str:
    """Return the figures as a Markdown table."""
    return "\n".join(
        [
            f"| | held out ({rows} rows) | cross-validated ({options.repeats} x {options.folds}) |",
            "|---|---|---|",
            *(
                f"| {title} | {held_out[name]:.3f} "
                f"| {cross_validated[name].mean:.3f} ± {cross_validated[name].sd:.3f} |"
                for name, title in TITLES.items()
            ),
        ]
    )


def _out_of_fold(data: Dataset, options: Options, repeat: int) -> npt.NDArray[np.float64]:
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed + repeat)
    predicted = np.empty(len(data.labels))
    for training, held_out in folds.split(data.records, data.labels):
        classifier = fit(data.records.iloc[training], data.labels[training], options)
        predicted[held_out] = probabilities(classifier, data.records.iloc[held_out])
    return predicted

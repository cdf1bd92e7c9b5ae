"""Measure a model: on rows it has not seen, and by repeated cross-validation beside others."""

from typing import Final

import numpy as np
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

from mlflow_sealed.training.measure.cross_validation import out_of_fold
from mlflow_sealed.training.measure.figures import TITLES, bootstrap, figures, over_repeats
from mlflow_sealed.training.measure.results import CANDIDATES, MODEL, Evaluation, Interval, Split
from mlflow_sealed.training.measure.subgroups import groups
from mlflow_sealed.training.measure.threshold import choose
from mlflow_sealed.training.subject import Subject
from training.dataset import DataError, Dataset
from training.fit import contributions, probabilities
from training.options import Options

__all__ = ["LABELS", "TITLES", "evaluate", "figures", "split", "table"]

LABELS: Final = (0, 1)
_THRESHOLD_REPEATS: Final = 3  # every row counts three times: more moves it by a hundredth


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


def evaluate(
    data: Dataset,
    rows: Split,
    classifier: XGBClassifier,
    options: Options,
    *,
    subject: Subject,
    jobs: int = -1,
) -> Evaluation:
    """Measure a classifier, fitted to the training rows, and what it has to be better than.

    The threshold is chosen on out-of-fold predictions of the training rows, by models that were
    fitted to training rows alone: the held-out labels have no part in it. The candidates beside
    the model get theirs by the same rule from their out-of-fold predictions of all rows.
    """
    training = data.records.iloc[rows.training], data.labels[rows.training]
    few = options.model_copy(update={"repeats": min(options.repeats, _THRESHOLD_REPEATS)})
    chosen_on = out_of_fold(*training, few, candidates=(MODEL,), jobs=jobs)[MODEL]
    threshold = choose(training[1], chosen_on, options)
    unseen = out_of_fold(data.records, data.labels, options, jobs=jobs)
    thresholds = {
        name: threshold if name == MODEL else choose(data.labels, unseen[name], options)
        for name in CANDIDATES
    }
    held_out = probabilities(classifier, data.records.iloc[rows.held_out])
    labels, seed = data.labels[rows.held_out], options.seed
    return Evaluation(
        subject=subject,
        data=data,
        split=rows,
        options=options,
        threshold=threshold,
        out_of_fold=unseen,
        held_out=held_out,
        cross_validated={
            name: over_repeats(data.labels, unseen[name], thresholds[name].value)
            for name in CANDIDATES
        },
        held_out_figures=bootstrap(labels, held_out[np.newaxis], threshold.value, seed=seed),
        groups=groups(data, unseen[MODEL], threshold.value, seed=seed),
        contributions=contributions(classifier, data.records),
    )


def table(evaluation: Evaluation) -> str:
    """Return the figures as a Markdown table: held out, and cross-validated for each candidate."""
    options, rows = evaluation.options, len(evaluation.split.held_out)
    model, *others = CANDIDATES.values()
    titles = [
        f"held out ({rows} rows)",
        f"{model.lower()}, cross-validated ({options.repeats} x {options.folds})",
        *(f"{other.lower()}, likewise" for other in others),
    ]
    columns = [evaluation.held_out_figures, *(evaluation.cross_validated[n] for n in CANDIDATES)]
    return "\n".join(
        [
            f"| | {' | '.join(titles)} |",
            "|---" * (1 + len(titles)) + "|",
            *(
                f"| {title} | {' | '.join(_cell(column.get(name)) for column in columns)} |"
                for name, title in TITLES.items()
            ),
        ]
    )


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "not defined"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"

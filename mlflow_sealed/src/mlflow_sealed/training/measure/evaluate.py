"""Measure a model: on rows that it has not seen, and by repeated cross-validation with others."""

from typing import Final

import numpy as np
from sklearn.model_selection import train_test_split

from mlflow_sealed.training.measure.cross_validation import out_of_fold
from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.figures import TITLES, bootstrap, over_repeats
from mlflow_sealed.training.measure.options import Evaluating, Measuring
from mlflow_sealed.training.measure.results import (
    MODEL,
    Evaluation,
    Floats,
    Interval,
    Split,
    Threshold,
)
from mlflow_sealed.training.measure.subgroups import groups
from mlflow_sealed.training.measure.threshold import choose
from mlflow_sealed.training.subject import Subject

LABELS: Final = (0, 1)
_THRESHOLD_REPEATS: Final = 3  # every row counts three times: more moves it by a hundredth


def split(data: Dataset, options: Measuring) -> Split:
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


def evaluate(  # noqa: PLR0913 # all that an evaluation is of; what a model answered, by keyword
    subject: Subject,
    data: Dataset,
    rows: Split,
    options: Evaluating,
    *,
    held_out: Floats,
    contributions: Floats,
    jobs: int = -1,
) -> Evaluation:
    """Measure a model that was fitted to the training rows, and what it has to be better than.

    The threshold is chosen on out-of-fold predictions of the training rows, by models that were
    fitted to training rows alone: the held-out labels have no part in it. The other predictors get
    theirs by the same rule from their out-of-fold predictions of all rows.

    Parameters
    ----------
    held_out
        The model's probabilities for the held-out rows, in their order.
    contributions
        Its SHAP values for all rows, as `Evaluation` has them.
    jobs
        How many folds at a time, see `out_of_fold`.
    """
    threshold = _threshold(subject, data, rows, options, jobs=jobs)
    unseen = out_of_fold(
        data.records, data.labels, options, predictors=subject.predictors, jobs=jobs
    )
    words, labels, seed = subject.project.words, data.labels[rows.held_out], options.seed
    thresholds = {
        name: threshold if name == MODEL else choose(data.labels, predicted, options, words)
        for name, predicted in unseen.items()
    }
    return Evaluation(
        subject=subject,
        data=data,
        split=rows,
        options=options,
        threshold=threshold,
        out_of_fold=unseen,
        held_out=held_out,
        cross_validated={
            name: over_repeats(data.labels, predicted, thresholds[name].value)
            for name, predicted in unseen.items()
        },
        held_out_figures=bootstrap(labels, held_out[np.newaxis], threshold.value, seed=seed),
        groups=groups(subject, data, unseen[MODEL], threshold.value, seed=seed),
        contributions=contributions,
    )


def _threshold(
    subject: Subject, data: Dataset, rows: Split, options: Evaluating, *, jobs: int
) -> Threshold:
    records, labels = data.records.iloc[rows.training], data.labels[rows.training]
    few = options.model_copy(update={"repeats": min(options.repeats, _THRESHOLD_REPEATS)})
    alone = {MODEL: subject.predictors[MODEL]}
    predicted = out_of_fold(records, labels, few, predictors=alone, jobs=jobs)[MODEL]
    return choose(labels, predicted, options, subject.project.words)


def table(evaluation: Evaluation) -> str:
    """Return the figures as a Markdown table: held out, and cross-validated for each predictor."""
    options, rows = evaluation.options, len(evaluation.split.held_out)
    model, *others = evaluation.subject.titles.values()
    titles = [
        f"held out ({rows} rows)",
        f"{model.lower()}, cross-validated ({options.repeats} x {options.folds})",
        *(f"{other.lower()}, likewise" for other in others),
    ]
    columns = [
        evaluation.held_out_figures,
        *(evaluation.cross_validated[name] for name in evaluation.subject.titles),
    ]
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

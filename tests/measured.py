"""The model that measuring and showing are tested with, measured quickly: a project has one."""

from functools import cache

from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.evaluate import evaluate, split
from mlflow_sealed.training.measure.results import Evaluation, Split
from tests.environ import ROOT
from training.dataset import read
from training.fit import contributions, fit, probabilities
from training.options import DATA, Options
from training.subject import SUBJECT

__all__ = ["OPTIONS", "SUBJECT", "data", "measure", "measured"]

OPTIONS = Options(trees=40, folds=3, repeats=2)


@cache
def data() -> Dataset:
    """The real data; nobody changes it."""
    return read(ROOT / DATA)


@cache
def measured() -> Evaluation:
    """The evaluation of a quick training on the real data; nobody changes it."""
    return measure(data(), OPTIONS, jobs=1)


def measure(
    given: Dataset, options: Options, *, rows: Split | None = None, jobs: int = -1
) -> Evaluation:
    """Fit the model to the training rows, and evaluate it."""
    rows = rows or split(given, options)
    classifier = fit(given.records.iloc[rows.training], given.labels[rows.training], options)
    return evaluate(
        SUBJECT,
        given,
        rows,
        options,
        held_out=probabilities(classifier, given.records.iloc[rows.held_out]),
        contributions=contributions(classifier, given.records),
        jobs=jobs,
    )

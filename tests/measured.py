"""A training's evaluation, measured quickly, that pictures, card and report are tested with."""

from functools import cache

from mlflow_sealed.training.measure.evaluate import evaluate, split
from mlflow_sealed.training.measure.results import Evaluation

from tests.conftest import ROOT
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options
from training.subject import SUBJECT

OPTIONS = Options(trees=40, folds=3, repeats=2)


@cache
def measured() -> Evaluation:
    """The evaluation of a quick training on the real data; nobody changes it."""
    data = read(ROOT / DATA)
    rows = split(data, OPTIONS)
    classifier = fit(data.records.iloc[rows.training], data.labels[rows.training], OPTIONS)
    return evaluate(data, rows, classifier, OPTIONS, subject=SUBJECT, jobs=1)

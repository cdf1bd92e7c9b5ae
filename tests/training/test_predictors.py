"""What the model has to be better than: each sees a missing measurement in its own way."""

import numpy as np

from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.results import MODEL
from mypreprocessing import MEASUREMENTS
from tests.measured import data
from training.options import Options
from training.predictors import ARTICLE, LOGISTIC_REGRESSION, PREDICTORS, TITLES

QUICK = Options(trees=10, repeats=2, folds=3)


def test_each_predictor_has_a_title_and_the_model_is_the_first() -> None:
    assert [*PREDICTORS] == [*TITLES]
    assert next(iter(PREDICTORS)) == MODEL


def test_the_articles_model_remembers_the_rows_that_it_has_seen() -> None:
    """The control of cross-validation: this is what a label that nothing predicts looks like."""
    records, labels = data().records, np.random.default_rng(0).permutation(data().labels)
    seen = PREDICTORS[ARTICLE](records, labels, records, QUICK)
    assert figures(labels, seen, 0.5)["auc"] > 0.95


def test_the_articles_model_takes_a_zero_as_it_is_and_ours_as_missing() -> None:
    records, labels = data().records, data().labels
    nulls = records.replace({name: {0: 1e-6} for name in MEASUREMENTS})
    for name, told_apart in ((MODEL, True), (LOGISTIC_REGRESSION, True), (ARTICLE, False)):
        zero, tiny = (
            PREDICTORS[name](given, labels, given.head(99), QUICK) for given in (records, nulls)
        )
        assert np.array_equal(zero, tiny) != told_apart

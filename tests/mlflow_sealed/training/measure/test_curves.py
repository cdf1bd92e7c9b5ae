"""The curves and their intervals, against definitions and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from mlflow_sealed.training.measure import curves
from mlflow_sealed.training.measure.results import MODEL, Evaluation
from tests.measured import measured


def one_repeat() -> Evaluation:
    first = {name: each[:1] for name, each in measured().out_of_fold.items()}
    return replace(measured(), out_of_fold=first)


def test_the_roc_curve_is_scikit_learns() -> None:
    evaluation = one_repeat()
    band = curves.roc(evaluation, MODEL, weights=curves.resamples(evaluation))
    alarms, found, _ = roc_curve(evaluation.data.labels, evaluation.out_of_fold[MODEL][0])
    np.testing.assert_allclose(band.middle[1:], np.interp(band.x, alarms, found)[1:], atol=0.02)
    assert ((band.low <= band.middle + 1e-9) & (band.middle <= band.high + 1e-9)).all()


def test_the_precision_is_scikit_learns() -> None:
    evaluation = one_repeat()
    once = curves.resamples(evaluation)[:1]
    band = curves.precision_recall(evaluation, MODEL, weights=once)
    labels, predicted = evaluation.data.labels, evaluation.out_of_fold[MODEL][0]
    precision, recall, _ = precision_recall_curve(labels, predicted)
    expected = np.interp(band.x, recall[::-1], precision[::-1])
    np.testing.assert_allclose(band.middle, expected, atol=0.04)
    assert band.middle[-1] == pytest.approx(labels.mean(), abs=0.02)


def test_an_interval_is_that_of_other_records() -> None:
    """The width of a share's: 1.96 standard errors to both sides."""
    evaluation = measured()
    weights = curves.resamples(evaluation)
    threshold = np.array([0.2])
    everyone = curves.net_benefit(evaluation, None, threshold, weights=weights)
    share = evaluation.data.labels.mean()
    error = np.sqrt(share * (1 - share) / len(evaluation.data.labels)) * 1.25  # 1 + 0.2 / 0.8
    assert everyone.high[0] - everyone.low[0] == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert everyone.middle[0] == pytest.approx(share - (1 - share) / 4)


def test_the_resamples_are_seeded_and_the_first_is_the_records_themselves() -> None:
    weights = curves.resamples(measured())
    np.testing.assert_array_equal(weights, curves.resamples(measured()))
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == weights.shape[1]).all()
    assert len(weights) == 1 + curves.RESAMPLES


def test_right_risks_have_no_error_and_wrong_ones_have_theirs() -> None:
    evaluation = measured()
    labels = np.tile([0, 0, 0, 1, 1], 153)
    data = replace(evaluation.data, labels=labels, records=evaluation.data.records.head(765))
    for risk, error in ((0.4, 0.0), (0.5, 0.1)):
        predicted = {MODEL: np.full((2, 765), risk)}
        changed = replace(evaluation, data=data, out_of_fold=predicted)
        found = curves.reliability(changed, MODEL, weights=np.ones((1, 765)))
        assert found.error == pytest.approx(error)
        assert found.observed.middle == pytest.approx([0.4])

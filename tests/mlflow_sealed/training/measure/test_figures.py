"""The figures: that they are the textbook's and scikit-learn's, and what their intervals cover."""

import numpy as np
import pytest
from sklearn import metrics

from mlflow_sealed.training.measure.figures import TITLES, bootstrap, figures, over_repeats

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 200)
PREDICTED = np.clip(RNG.normal(0.3 + 0.3 * LABELS, 0.2), 0.01, 0.99).round(2)  # with many ties


def test_the_figures_are_the_textbooks() -> None:
    labels = np.array([0, 0, 1, 1])
    predicted = np.array([0.1, 0.6, 0.4, 0.9])
    assert figures(labels, predicted, threshold=0.35) == pytest.approx(
        {
            "auc": 3 / 4,
            "average_precision": (1 + 2 / 3) / 2,
            "brier": (0.1**2 + 0.6**2 + 0.6**2 + 0.1**2) / 4,
            "log_loss": -np.log([0.9, 0.4, 0.4, 0.9]).mean(),
            "accuracy": 3 / 4,
            "sensitivity": 2 / 2,
            "specificity": 1 / 2,
            "ppv": 2 / 3,
            "npv": 1 / 1,
        }
    )


def test_the_figures_are_scikit_learns() -> None:
    at = PREDICTED >= 0.4
    expected = {
        "auc": metrics.roc_auc_score(LABELS, PREDICTED),
        "average_precision": metrics.average_precision_score(LABELS, PREDICTED),
        "brier": metrics.brier_score_loss(LABELS, PREDICTED),
        "log_loss": metrics.log_loss(LABELS, PREDICTED),
        "accuracy": metrics.accuracy_score(LABELS, at),
        "sensitivity": metrics.recall_score(LABELS, at),
        "specificity": metrics.recall_score(LABELS, at, pos_label=0),
        "ppv": metrics.precision_score(LABELS, at),
        "npv": metrics.precision_score(LABELS, at, pos_label=0),
    }
    assert list(expected) == list(TITLES)
    assert figures(LABELS, PREDICTED, 0.4) == pytest.approx(expected, abs=1e-12)


def test_a_probability_at_the_threshold_counts_as_1() -> None:
    assert figures(np.array([0, 1]), np.array([0.3, 0.5]), threshold=0.5)["accuracy"] == 1


@pytest.mark.parametrize(
    ("labels", "threshold", "absent"),
    [
        ([0, 0], 0.5, {"auc", "average_precision", "sensitivity"}),
        ([1, 1], 0.5, {"auc", "specificity"}),
        ([0, 1], 0.9, {"ppv"}),
        ([0, 1], 0.1, {"npv"}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_figure_that_is_not_defined_is_absent(
    labels: list[int], threshold: float, absent: set[str]
) -> None:
    found = figures(np.array(labels), np.array([0.2, 0.6]), threshold)
    assert found.keys() == TITLES.keys() - absent
    predicted = np.array([[0.2, 0.6]])
    assert bootstrap(np.array(labels), predicted, threshold, seed=1).keys() == found.keys()
    assert over_repeats(np.array(labels), predicted, threshold).keys() == found.keys()


def test_the_bootstrap_is_scikit_learns_figures_of_drawn_records() -> None:
    drawn = np.random.default_rng(7).multinomial(200, np.full(200, 1 / 200), 1000)
    aucs = [metrics.roc_auc_score(LABELS, PREDICTED, sample_weight=each) for each in drawn]
    low, high = np.quantile(aucs, [0.025, 0.975])
    interval = bootstrap(LABELS, PREDICTED[np.newaxis], 0.4, seed=7)["auc"]
    assert interval.value == pytest.approx(metrics.roc_auc_score(LABELS, PREDICTED))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    """Probabilities of 0.3 and 0.7, which hold: the truth of the Brier score is 0.21."""
    rng, covered = np.random.default_rng(3), 0
    for seed in range(100):
        predicted = rng.choice(np.array([0.3, 0.7]), 150)
        labels = (rng.random(150) < predicted).astype(int)
        interval = bootstrap(labels, predicted[np.newaxis], 0.5, seed=seed)["brier"]
        covered += interval.low <= 0.21 <= interval.high
    assert 88 <= covered <= 100


def test_repeats_give_their_mean_and_their_percentiles() -> None:
    repeats = np.stack([np.where(LABELS, 0.5 + step / 100, 0.1) for step in range(41)])
    sure = over_repeats(LABELS, repeats, 0.4)
    assert sure["auc"].low == sure["auc"].value == sure["auc"].high == 1
    briers = [metrics.brier_score_loss(LABELS, each) for each in repeats]
    assert sure["brier"].value == pytest.approx(np.mean(briers))
    assert sure["brier"].low == pytest.approx(np.sort(briers)[1])
    assert sure["brier"].high == pytest.approx(np.sort(briers)[-2])

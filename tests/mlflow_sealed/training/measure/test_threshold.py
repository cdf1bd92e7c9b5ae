"""The threshold: what each rule asks for, and that it is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_sealed.project import Words
from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.options import Evaluating
from mlflow_sealed.training.measure.results import Threshold
from mlflow_sealed.training.measure.threshold import choose

WORDS = Words(records="pumps", positive="that leak")
LABELS = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1])
PREDICTED = np.array([0.05, 0.1, 0.2, 0.2505, 0.3, 0.41, 0.5, 0.55, 0.7, 0.9])


def chosen(
    *, labels: np.ndarray = LABELS, predicted: np.ndarray = PREDICTED[np.newaxis], **options: Any
) -> Threshold:
    return choose(labels, predicted, Evaluating(data=Path("none.csv"), **options), WORDS)


@pytest.mark.parametrize(
    ("options", "value", "rule"),
    [
        ({"threshold_rule": "youden"}, 0.41, "youden"),
        ({"least_sensitivity": 0.8}, 0.41, "sensitivity"),
        ({"least_sensitivity": 0.81}, 0.25, "sensitivity"),
        ({"least_sensitivity": 0.2}, 0.9, "sensitivity"),
        ({"threshold": 0.3}, 0.3, "fixed"),
        ({"threshold": 0.3, "threshold_rule": "youden"}, 0.3, "fixed"),
    ],
)
def test_a_rule_gives_the_threshold_that_it_says(
    options: dict[str, Any], value: float, rule: str
) -> None:
    threshold = chosen(**options)
    assert (threshold.value, threshold.rule) == (value, rule)


def test_the_reason_says_what_the_threshold_gives() -> None:
    threshold = chosen()
    found = figures(LABELS, PREDICTED, threshold.value)
    assert threshold.reason == (
        "It is the highest that finds at least 80% of the pumps that leak. On the "
        "out-of-fold predictions of the training rows: "
        f"sensitivity {found['sensitivity']:.3f} and specificity {found['specificity']:.3f}."
    )


def test_all_repeats_count() -> None:
    """What is the best for one repeat misses half of the positive ones in the other."""
    repeats = np.array([[0.1, 0.2, 0.8, 0.9], [0.1, 0.2, 0.3, 0.9]])
    labels = np.array([0, 0, 1, 1])
    assert chosen(labels=labels, predicted=repeats[:1], least_sensitivity=1).value == 0.8
    assert chosen(labels=labels, predicted=repeats, least_sensitivity=1).value == 0.3


def test_a_rule_that_takes_everything_still_gives_a_probability() -> None:
    labels, predicted = np.array([0, 1]), np.array([[0.5, 0.0]])
    assert chosen(labels=labels, predicted=predicted, least_sensitivity=1).value == 0.001

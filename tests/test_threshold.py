"""The threshold: what each rule asks for, and that it is told."""

from typing import Any

import numpy as np
import pytest
from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.threshold import choose

from training.options import Options

LABELS = np.array([0, 0, 0, 1, 0, 1, 1, 0, 1, 1])
PREDICTED = np.array([0.05, 0.1, 0.2, 0.2505, 0.3, 0.41, 0.5, 0.55, 0.7, 0.9])


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
    threshold = choose(LABELS, PREDICTED[np.newaxis], Options(**options))
    assert (threshold.value, threshold.rule) == (value, rule)


def test_the_reason_says_what_the_threshold_gives() -> None:
    threshold = choose(LABELS, PREDICTED[np.newaxis], Options())
    found = figures(LABELS, PREDICTED, threshold.value)
    assert threshold.reason == (
        "It is the highest that finds at least 80% of the patients with diabetes. On the "
        "out-of-fold predictions of the training rows: "
        f"sensitivity {found['sensitivity']:.3f} and specificity {found['specificity']:.3f}."
    )


def test_all_repeats_count() -> None:
    """What is the best for one repeat misses half of the patients in the other."""
    repeats = np.array([[0.1, 0.2, 0.8, 0.9], [0.1, 0.2, 0.3, 0.9]])
    labels = np.array([0, 0, 1, 1])
    assert choose(labels, repeats[:1], Options(least_sensitivity=1)).value == 0.8
    assert choose(labels, repeats, Options(least_sensitivity=1)).value == 0.3


def test_a_rule_that_takes_everybody_still_gives_a_probability() -> None:
    labels, predicted = np.array([0, 1]), np.array([[0.5, 0.0]])
    assert choose(labels, predicted, Options(least_sensitivity=1)).value == 0.001

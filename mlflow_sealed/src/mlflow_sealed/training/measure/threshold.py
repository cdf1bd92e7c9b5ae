"""Choose the probability from which a prediction is 1."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from mlflow_sealed.project import Words
from mlflow_sealed.training.measure.options import FIXED, SENSITIVITY, YOUDEN, Evaluating
from mlflow_sealed.training.measure.results import Floats, Threshold

_DIGITS: Final = 3
_STEP: Final = 0.001
"""Thresholds are round numbers: as many records are found from one, or more."""


def choose(
    labels: npt.NDArray[np.int64], predicted: Floats, options: Evaluating, words: Words
) -> Threshold:
    """Return the threshold by the rule that the options name.

    Parameters
    ----------
    labels
        Shape (n,).
    predicted
        Out-of-fold predictions, shape (repeats, n): the rule is applied to all repeats together.
    words
        Those of the reason.
    """
    every = np.tile(labels, len(predicted))
    if isinstance(options.threshold, float):
        rule, value = FIXED, options.threshold
    else:
        rule = str(options.threshold_rule)
        value = _RULES[rule](every, predicted.ravel(), options.least_sensitivity)
    at = predicted.ravel() >= value
    sensitivity, specificity = at[every == 1].mean(), (~at)[every == 0].mean()
    asked = {
        FIXED: "It was given.",
        YOUDEN: "It makes sensitivity plus specificity largest.",
        SENSITIVITY: (
            "It is the highest that finds at least "
            f"{options.least_sensitivity:.0%} of the {words.records} {words.positive}."
        ),
    }[rule]
    gives = f"sensitivity {sensitivity:.3f} and specificity {specificity:.3f}"
    return Threshold(
        value, rule, f"{asked} On the out-of-fold predictions of the training rows: {gives}."
    )


def _youden(labels: npt.NDArray[np.int64], predicted: Floats, _: float) -> float:
    """W. J. Youden, 'Index for rating diagnostic tests', Cancer 1950."""
    false, true, thresholds = roc_curve(labels, predicted)
    return _round_down(thresholds[np.argmax(true - false)])


def _sensitivity(labels: npt.NDArray[np.int64], predicted: Floats, least: float) -> float:
    _, true, thresholds = roc_curve(labels, predicted, drop_intermediate=False)
    return _round_down(thresholds[np.argmax(true >= least)])


def _round_down(threshold: float) -> float:
    nearest = round(float(threshold), _DIGITS)
    below = nearest if nearest <= threshold else round(nearest - _STEP, _DIGITS)
    return min(max(below, _STEP), 1 - _STEP)


_RULES: Final[dict[str, Callable[[npt.NDArray[np.int64], Floats, float], float]]] = {
    YOUDEN: _youden,
    SENSITIVITY: _sensitivity,
}

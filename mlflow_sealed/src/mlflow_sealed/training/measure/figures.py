"""The figures of a model: what they are called, how they are computed, and their intervals."""

from typing import Final

import numpy as np
import numpy.typing as npt

from mlflow_sealed.training.measure.results import Floats, Interval

TITLES: Final = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
}
"""The figures, in the order in which they are shown; those from accuracy on need the threshold."""

RESAMPLES: Final = 1000
_ENDS: Final = (0.025, 0.975)


def figures(labels: npt.NDArray[np.int64], predicted: Floats, threshold: float) -> dict[str, float]:
    """Return the figures of `TITLES` for predicted probabilities, both of shape (n,).

    A figure that is not defined, such as the AUC of one label alone, is absent.
    """
    found = _weighted(labels, predicted, threshold, np.ones((1, len(labels))))
    return {name: float(value) for name, (value,) in found.items() if not np.isnan(value)}


def over_repeats(
    labels: npt.NDArray[np.int64], predicted: Floats, threshold: float
) -> dict[str, Interval]:
    """Return the figures of a repeated cross-validation, ``predicted`` of shape (repeats, n).

    A value is the mean over the repeats, its interval goes from the 2.5th to the 97.5th percentile
    of the repeats: how much the luck of the folds moves it. Other records move it more, see
    `bootstrap`.
    """
    repeats = [figures(labels, each, threshold) for each in predicted]
    columns = {
        name: np.array([repeat[name] for repeat in repeats])
        for name in TITLES
        if all(name in repeat for repeat in repeats)
    }
    return {
        name: Interval(float(column.mean()), *map(float, np.quantile(column, _ENDS)))
        for name, column in columns.items()
    }


def bootstrap(
    labels: npt.NDArray[np.int64], predicted: Floats, threshold: float, *, seed: int
) -> dict[str, Interval]:
    """Return the figures, each with the 95% interval of a percentile bootstrap over records.

    `RESAMPLES` times, as many records as there are are drawn with replacement, whatever their
    label: so the share of positive ones varies too, as it would between samples. A resample that
    does not allow a figure, such as one without a positive record, does not count for it.

    Parameters
    ----------
    predicted
        Shape (repeats, n): a figure is the mean over the repeats, of the same records each time.
    """
    count = len(labels)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights = np.vstack([np.ones(count), drawn])
    repeats = [_weighted(labels, each, threshold, weights) for each in predicted]
    means = {name: np.mean([repeat[name] for repeat in repeats], axis=0) for name in TITLES}
    return {
        name: Interval(float(mean[0]), *map(float, np.nanquantile(mean[1:], _ENDS)))
        for name, mean in means.items()
        if not np.isnan(mean[0])
    }


def _weighted(
    labels: npt.NDArray[np.int64], predicted: Floats, threshold: float, weights: Floats
) -> dict[str, Floats]:
    """Return each figure for each row of weights, shape (resamples, n), at once.

    The definitions are scikit-learn's, which takes one row of weights at a time: here a thousand
    take milliseconds.
    """
    order = np.argsort(-predicted, kind="stable")
    predicted, positive = predicted[order], labels[order] == 1
    weights = weights[:, order]
    ends = np.flatnonzero(np.append(np.diff(predicted) != 0, True))  # ties count together
    total = weights.sum(axis=1)
    # How many of each label are among the records from each probability on.
    true = np.cumsum(weights * positive, axis=1)[:, ends]
    false = np.cumsum(weights * ~positive, axis=1)[:, ends]
    at = predicted >= threshold
    found, alarms = weights @ (at & positive), weights @ (at & ~positive)
    positives, negatives = true[:, -1], false[:, -1]
    more_true, more_false = np.diff(true, prepend=0), np.diff(false, prepend=0)
    likely = np.clip(predicted, np.finfo(float).eps, 1 - np.finfo(float).eps)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.nan_to_num(true / (true + false))
        return {
            "auc": (more_false * (true - more_true / 2)).sum(axis=1) / (positives * negatives),
            "average_precision": (more_true * precision).sum(axis=1) / positives,
            "brier": weights @ (predicted - positive) ** 2 / total,
            "log_loss": -(weights @ np.log(np.where(positive, likely, 1 - likely))) / total,
            "accuracy": (found + negatives - alarms) / total,
            "sensitivity": found / positives,
            "specificity": (negatives - alarms) / negatives,
            "ppv": found / (found + alarms),
            "npv": (negatives - alarms) / (total - found - alarms),
        }

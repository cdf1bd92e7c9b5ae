"""What the pictures and the table of thresholds show: shares of records, with intervals.

Everything starts from one array, `flagged`: how often each record is flagged at each threshold by
models that have not seen it. Averages of it over records are averages over the repeats too, and
resampled records give their intervals.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlflow_sealed.training.measure.results import Evaluation, Floats

RESAMPLES: Final = 500
LEVEL: Final = 0.95
_THRESHOLDS: Final = 201


@dataclass(frozen=True)
class Band:
    """A curve with the ends of its `LEVEL` interval at each point, all of shape (points,)."""

    x: Floats
    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Reliability:
    """Records in groups of like predictions: the mean prediction, and the share of positive ones.

    ``error`` is the mean distance between the two, over records: the expected calibration error.
    """

    predicted: Floats
    observed: Band
    error: float


def flagged(probabilities: Floats, thresholds: Floats) -> Floats:
    """Return the share of the repeats that flag each record, shape (n, thresholds).

    Parameters
    ----------
    probabilities
        Shape (repeats, n).
    thresholds
        Ascending or not, shape (thresholds,).

    Examples
    --------
    >>> flagged(np.array([[0.2, 0.9], [0.4, 0.9]]), np.array([0.3, 0.5]))
    array([[0.5, 0. ],
           [1. , 1. ]])
    """
    at_least = probabilities[:, :, np.newaxis] >= thresholds
    return np.asarray(at_least.mean(axis=0), dtype=np.float64)


def resamples(evaluation: Evaluation) -> Floats:
    """Return how often each record is drawn, shape (1 + `RESAMPLES`, n).

    The first row draws each record once: its results are the curve, the others its interval.
    """
    count = len(evaluation.data.labels)
    generator = np.random.default_rng(evaluation.options.seed)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.vstack([np.ones(count), drawn]).astype(np.float64)


def roc(evaluation: Evaluation, candidate: str, *, weights: Floats) -> Band:
    """Return the sensitivity at each rate of false alarms."""
    found, alarms = _rates(evaluation, candidate, weights)
    x = np.linspace(0, 1, 101)
    curves = [
        np.interp(x, np.r_[alarm[::-1], 1], np.r_[share[::-1], 1])
        for share, alarm in zip(found, alarms, strict=True)
    ]
    return _band(x, np.array(curves))


def precision_recall(evaluation: Evaluation, candidate: str, *, weights: Floats) -> Band:
    """Return the share of positive ones among the flagged, at each sensitivity."""
    labels = evaluation.data.labels
    share = (weights @ labels / weights.sum(axis=1))[:, np.newaxis]
    found, alarms = _rates(evaluation, candidate, weights)
    precision = _ratio(found * share, found * share + alarms * (1 - share))
    x = np.linspace(0.05, 1, 96)
    curves = [
        np.interp(x, each[some][::-1], right[some][::-1])
        for each, right, some in zip(found, precision, ~np.isnan(precision), strict=True)
    ]
    return _band(x, np.array(curves))


def net_benefit(
    evaluation: Evaluation, candidate: str | None, thresholds: Floats, *, weights: Floats
) -> Band:
    """Return the net benefit of treating the flagged, a record, at each threshold.

    That is the share of true alarms less the share of false ones, weighted by the threshold's
    odds: Vickers and Elkin 2006, https://doi.org/10.1177/0272989X06295361. Without a candidate,
    every record is flagged.
    """
    labels = evaluation.data.labels[:, np.newaxis]
    if candidate is None:
        shares = np.ones((len(labels), len(thresholds)))
    else:
        shares = flagged(evaluation.out_of_fold[candidate], thresholds)
    worth = shares * (labels - (1 - labels) * thresholds / (1 - thresholds))
    return _band(thresholds, weights @ worth / weights.sum(axis=1, keepdims=True))


def reliability(
    evaluation: Evaluation, candidate: str, *, weights: Floats, bins: int = 10
) -> Reliability:
    """Return observed and predicted risk in groups of like predictions, of about one size."""
    probabilities = evaluation.out_of_fold[candidate]
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, probabilities, side="right")
    inside = np.eye(len(edges) + 1)[group]  # (repeats, n, bins)
    used = inside.any(axis=(0, 1))
    share = inside.mean(axis=0)[:, used]
    summed = (probabilities[:, :, np.newaxis] * inside).mean(axis=0)[:, used]
    predicted = summed.sum(axis=0) / share.sum(axis=0)
    observed = _ratio(weights @ (share * evaluation.data.labels[:, np.newaxis]), weights @ share)
    distance = np.abs(observed[0] - predicted)
    return Reliability(
        predicted,
        _band(predicted, observed),
        float(np.average(distance, weights=share.sum(axis=0))),
    )


def _rates(evaluation: Evaluation, candidate: str, weights: Floats) -> tuple[Floats, Floats]:
    """Return sensitivity and rate of false alarms, shape (resamples, thresholds), descending."""
    probabilities = evaluation.out_of_fold[candidate]
    labels = evaluation.data.labels[:, np.newaxis]
    thresholds = np.unique(np.quantile(probabilities, np.linspace(0, 1, _THRESHOLDS)))
    shares = flagged(probabilities, np.r_[thresholds, np.inf])  # the last flags nobody
    found = weights @ (shares * labels) / (weights @ labels)
    alarms = weights @ (shares * (1 - labels)) / (weights @ (1 - labels))
    return found, alarms


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return the quotient, and NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _band(x: Floats, curves: Floats) -> Band:
    """Make a band of curves of shape (1 + resamples, points), of which the first is the middle."""
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(curves, [tail, 1 - tail], axis=0)
    return Band(x, curves[0], low, high)

"""Compare a new model with the champion: on the same folds, for all records and each group."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from mlflow_sealed.training.measure.cross_validation import folds
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Floats
from mlflow_sealed.training.measure.subgroups import ENOUGH

MARGIN: Final = 0.01
"""A new model may have so much more log loss, at the end of the interval: about 2% of it."""

GROUP_MARGIN: Final = 0.03
"""A group may get so much more log loss: groups are small, and theirs varies more."""

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Comparison:
    """The log loss of a new model, less the champion's: below zero, the new one is better.

    Attributes
    ----------
    champion
        The version that was compared with.
    how
        Where the champion's predictions are from.
    difference, worst, p_value
        The mean over all folds; the end of its one-sided 95% interval; and how likely so good a
        difference would be if the new model were worse by exactly the margin.
    groups
        The difference for each group that is large enough, such as ``age: 21 to 30``.
    """

    champion: str
    how: str
    difference: float
    worst: float
    p_value: float
    groups: dict[str, float]

    @property
    def reasons(self) -> list[str]:
        """What speaks against the new model; nothing if it deserves to be champion."""
        found = []
        if not self.worst <= MARGIN:  # not '>': NaN speaks against a model too
            found.append(
                f"its log loss is {self.difference:+.4f} compared with version {self.champion}'s "
                f"and may be {self.worst:+.4f}, more than the margin of {MARGIN:g}"
            )
        found += [
            f"for the group {name} it is {difference:+.3f}, more than the margin of "
            f"{GROUP_MARGIN:g}"
            for name, difference in self.groups.items()
            if difference > GROUP_MARGIN
        ]
        return found

    def report(self) -> dict[str, Any]:
        """Return what is logged of it."""
        return {
            "champion": self.champion,
            "champion_predictions": self.how,
            "figure": "log loss, new less champion",
            "difference": self.difference,
            "worst": self.worst,
            "margin": MARGIN,
            "p_value": self.p_value,
            "test": "non-inferiority, corrected resampled t-test (Nadeau and Bengio 2003)",
            "groups": self.groups,
            "group_margin": GROUP_MARGIN,
            "reasons_against": self.reasons,
        }


def compare(new: Evaluation, theirs: Floats, *, champion: str, how: str) -> Comparison:
    """Compare out-of-fold predictions on the folds of ``new``.

    The test is the corrected resampled t-test: the folds of a repeated cross-validation share
    rows, so the variance of their mean is larger than if they did not. C. Nadeau and Y. Bengio,
    'Inference for the generalization error', Machine Learning 52, 2003; for repeated k folds,
    R. Bouckaert and E. Frank, 'Evaluating the replicability of significance tests', PAKDD 2004.

    Parameters
    ----------
    theirs
        The champion's predictions, shape (repeats, n).
    """
    labels = new.data.labels
    losses = _log_loss(labels, new.out_of_fold[MODEL]) - _log_loss(labels, theirs)
    parts = [
        (losses[repeat, unseen].mean(), len(unseen) / len(training))
        for repeat, training, unseen in folds(labels, new.options)
    ]
    differences, shares = np.array(parts).T
    difference, error = float(differences.mean()), _standard_error(differences, shares.mean())
    degrees = len(differences) - 1
    worst = difference + error * float(stats.t.ppf(_CONFIDENCE, degrees))
    p_value = float(stats.t.cdf((difference - MARGIN) / error, degrees)) if error else float("nan")
    return Comparison(
        champion,
        how,
        difference,
        worst,
        p_value,
        {
            f"{kind}: {name}": float(losses[:, rows].mean())
            for kind, name, rows in new.subject.memberships(new.data.records)
            if min(np.bincount(labels[rows], minlength=2)) >= ENOUGH
        },
    )


def _standard_error(differences: Floats, share: float) -> float:
    """Return it with the correction; ``share`` is that of test rows to training rows."""
    return float(np.sqrt((1 / len(differences) + share) * differences.var(ddof=1)))


def _log_loss(labels: npt.NDArray[np.int64], predicted: Floats) -> Floats:
    likely = np.where(labels == 1, predicted, 1 - predicted)
    return np.asarray(-np.log(np.clip(likely, np.finfo(np.float64).eps, 1)), dtype=np.float64)

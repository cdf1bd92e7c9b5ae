"""What a training has measured: pictures, card, report and the decision are made of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.options import Evaluating
from mlflow_sealed.training.subject import Subject

Floats = npt.NDArray[np.float64]

MODEL: Final = "model"
"""The name of the model itself among the predictors of a `Subject`."""


@dataclass(frozen=True)
class Split:
    """Row numbers, ascending: what is trained on and what is held out."""

    training: npt.NDArray[np.intp]
    held_out: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Interval:
    """A figure with the ends of its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """The probability from which a prediction is 1.

    ``rule`` is the value of the option, such as ``youden``; ``reason`` one sentence on what it
    asks for and what it gives on the out-of-fold predictions.
    """

    value: float
    rule: str
    reason: str


@dataclass(frozen=True)
class Group:
    """The figures of some of the records, from the out-of-fold predictions.

    ``kind`` is what the groups differ in, such as ``age``, and ``name`` such as ``21 to 30``; a
    figure that so few rows do not allow is absent. ``small`` says that there are too few rows to
    conclude anything.
    """

    kind: str
    name: str
    rows: int
    positive: int
    small: bool
    figures: dict[str, Interval]


@dataclass(frozen=True)
class Evaluation:
    """All that was measured of one training.

    Attributes
    ----------
    subject
        The model that was trained.
    data, split, options, threshold
        What was trained on, and how.
    out_of_fold
        For each predictor of the subject, the probabilities for all rows of the data by models that
        have not seen them: shape (repeats, n), the same folds for each.
    held_out
        The registered model's probabilities for the held-out rows, in their order.
    cross_validated
        For each of them, each figure of `mlflow_sealed.training.measure.figures.TITLES` over the
        repeats.
    held_out_figures
        The registered model's on the held-out rows, with bootstrap intervals.
    groups
        Those of the subject.
    contributions
        The registered model's SHAP values for the rows of the data, in log-odds: shape
        (n, features + 1), the last column the base value.
    """

    subject: Subject
    data: Dataset
    split: Split
    options: Evaluating
    threshold: Threshold
    out_of_fold: dict[str, Floats]
    held_out: Floats
    cross_validated: dict[str, dict[str, Interval]]
    held_out_figures: dict[str, Interval]
    groups: list[Group]
    contributions: Floats

"""The figures for some of the patients: by age, and by how many measurements are missing."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_sealed.training.measure.figures import bootstrap
from mlflow_sealed.training.measure.results import Floats, Group
from mypreprocessing import MEASUREMENTS
from training.dataset import Dataset

AGE: Final = "age"
MISSING: Final = "missing"
KINDS: Final = (AGE, MISSING)

ENOUGH: Final = 20
"""So many patients of either label at least, or a group is too small to conclude anything."""

_AGES: Final = {"21 to 30": 30, "31 to 40": 40, "41 to 50": 50, "51 to 60": 60, "over 60": np.inf}
_MOST_MISSING: Final = 3


def groups(data: Dataset, predicted: Floats, threshold: float, *, seed: int) -> list[Group]:
    """Return the groups that have patients, with figures from the out-of-fold predictions.

    Parameters
    ----------
    predicted
        Shape (repeats, n).
    """
    found = []
    for kind, name, rows in memberships(data.records):
        labels = data.labels[rows]
        positive = int(labels.sum())
        small = min(positive, len(labels) - positive) < ENOUGH
        figures = bootstrap(labels, predicted[:, rows], threshold, seed=seed)
        found.append(Group(kind, name, len(labels), positive, small, figures))
    return found


def memberships(records: pd.DataFrame) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    """Give the kind, the name and the row numbers of each group that has patients."""
    ages = records["age"].to_numpy()
    youngest = 0.0
    for name, oldest in _AGES.items():
        yield from _some(AGE, name, (ages > youngest) & (ages <= oldest))
        youngest = oldest
    missing = records[list(MEASUREMENTS)].fillna(0).eq(0).sum(axis=1).to_numpy()
    for count in range(_MOST_MISSING):
        yield from _some(MISSING, f"{count} missing", missing == count)
    yield from _some(MISSING, f"{_MOST_MISSING} or more missing", missing >= _MOST_MISSING)


def _some(
    kind: str, name: str, members: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    if members.any():
        yield kind, name, np.flatnonzero(members)

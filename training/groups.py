"""The groups of patients that figures are shown for: by age, and by missing measurements."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.preprocessing import MEASUREMENTS, Patient
from training.project import PROJECT

AGE: Final = "age"
MISSING: Final = "missing"
KINDS: Final = (AGE, MISSING)

_YOUNGEST: Final = next(
    rule.ge for rule in Patient.model_fields["age"].metadata if hasattr(rule, "ge")
)
_AGES: Final = (_YOUNGEST - 1, *PROJECT.groups.ages)
_MOST_MISSING: Final = PROJECT.groups.most_missing


def memberships(records: pd.DataFrame) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    """Give the kind, the name and the row numbers of each group that has patients."""
    ages = records["age"].to_numpy()
    for low, high in pairwise(_AGES):
        yield from _some(AGE, f"{low + 1:g} to {high:g}", (ages > low) & (ages <= high))
    yield from _some(AGE, f"over {_AGES[-1]:g}", ages > _AGES[-1])
    missing = records[list(MEASUREMENTS)].fillna(0).eq(0).sum(axis=1).to_numpy()
    for count in range(_MOST_MISSING):
        yield from _some(MISSING, f"{count} missing", missing == count)
    yield from _some(MISSING, f"{_MOST_MISSING} or more missing", missing >= _MOST_MISSING)


def _some(
    kind: str, name: str, members: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    if members.any():
        yield kind, name, np.flatnonzero(members)

"""The figures of groups, and what a small one may say."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.subgroups import ENOUGH, groups
from tests.measured import SUBJECT

LABELS = np.repeat([1, 0, 1, 0], [ENOUGH, ENOUGH, ENOUGH - 1, 200])


def memberships(records: pd.DataFrame) -> Iterator[tuple[str, str, npt.NDArray[np.intp]]]:
    rows = np.arange(len(records))
    yield "kind", "enough", rows[: 2 * ENOUGH]
    yield "kind", "few positive", rows[2 * ENOUGH :]


def test_a_group_with_few_of_a_label_is_small() -> None:
    data = Dataset(pd.DataFrame(index=range(len(LABELS))), LABELS, "")
    predicted = np.where(LABELS, 0.7, 0.2)[np.newaxis]
    subject = replace(SUBJECT, memberships=memberships)
    enough, few = groups(subject, data, predicted, 0.5, seed=1)
    assert (few.kind, few.name, few.rows, few.positive) == ("kind", "few positive", 219, 19)
    assert few.small
    assert not enough.small
    assert enough.rows == 40
    assert enough.figures["auc"].value == 1

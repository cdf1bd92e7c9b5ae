"""The figures for some of the records: those of each group of a subject."""

from typing import Final

from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.figures import bootstrap
from mlflow_sealed.training.measure.results import Floats, Group
from mlflow_sealed.training.subject import Subject

ENOUGH: Final = 20
"""So many records of either label at least, or a group is too small to conclude anything."""


def groups(
    subject: Subject, data: Dataset, predicted: Floats, threshold: float, *, seed: int
) -> list[Group]:
    """Return the groups that have records, with figures from the out-of-fold predictions.

    Parameters
    ----------
    predicted
        Shape (repeats, n).
    """
    found = []
    for kind, name, rows in subject.memberships(data.records):
        labels = data.labels[rows]
        positive = int(labels.sum())
        small = min(positive, len(labels) - positive) < ENOUGH
        figures = bootstrap(labels, predicted[:, rows], threshold, seed=seed)
        found.append(Group(kind, name, len(labels), positive, small, figures))
    return found

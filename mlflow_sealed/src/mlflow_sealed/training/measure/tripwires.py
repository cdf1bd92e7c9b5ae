"""Stop a training whose data or figures are too good, or too odd, to be true."""

from typing import Final

import numpy as np

from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.results import MODEL, Evaluation
from mlflow_sealed.training.subject import Subject

_LEAST_BY_ITSELF: Final = 0.45
"""By chance, with a label that has nothing to do with it, a feature has an AUC of 0.5 +- 0.02."""


class TripwireError(RuntimeError):
    """The figures cannot be believed, and nothing may be registered; the message says why."""


def check_data(subject: Subject, data: Dataset) -> None:
    """Refuse a feature that never varies, and a label that contradicts what is known.

    Raises
    ------
    DataError
        If a feature has one value, or none, in all rows: a model would ask for it and ignore it. If
        more of a feature that project.toml calls rising goes with fewer positive labels: the label
        is reversed.
    """
    columns = subject.preprocess(data.records).T
    for name, column in zip(subject.features, columns, strict=True):
        measured = ~np.isnan(column)
        if len(set(column[measured])) <= 1:
            raise DataError(
                f"column {name}: expected values that vary, all {len(column)} rows are alike"
            )
        values = column[measured].astype(np.float64)
        by_itself = figures(data.labels[measured], values, 0).get("auc", 0.5)
        if name in subject.project.features.rising and by_itself < _LEAST_BY_ITSELF:
            raise DataError(
                f"column {name}: more of it goes with fewer positive labels (AUC {by_itself:.2f} "
                "by itself), expected the opposite: is the label reversed?"
            )


def check(evaluation: Evaluation) -> None:
    """Refuse figures that honest data does not give.

    All predictors are looked at: a leak that contradicts a constraint of the model shows in those
    that have none.

    Raises
    ------
    TripwireError
        If a cross-validated AUC is above the bound ``most_auc`` of project.toml, or the model's
        below ``least_auc``.
    """
    subject = evaluation.subject
    bounds = subject.project.bounds
    aucs = {name: found["auc"].value for name, found in evaluation.cross_validated.items()}
    highest = max(aucs, key=lambda name: aucs[name])
    if aucs[highest] > bounds.most_auc:
        raise TripwireError(
            f"suspected leak: {subject.titles[highest].lower()} has a cross-validated AUC of "
            f"{aucs[highest]:.3f}, expected at most {bounds.most_auc:g}; look for the label in the "
            "features, such as missing values that were imputed for each label apart. Nothing "
            "was registered"
        )
    if aucs[MODEL] < bounds.least_auc:
        raise TripwireError(
            f"the model has a cross-validated AUC of {aucs[MODEL]:.3f}, expected at least "
            f"{bounds.least_auc:g}; does each label belong to its row? Nothing was registered"
        )

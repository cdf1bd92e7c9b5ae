"""Stop a training whose data or figures are too good, or too odd, to be true."""

from typing import Final

import numpy as np

from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.results import CANDIDATES, MODEL, Evaluation
from mypreprocessing import FEATURES, MEASUREMENTS
from training.dataset import DataError, Dataset
from training.fit import RISING

MOST_AUC: Final = 0.87
"""No honest cross-validation of this data reaches it; published figures above it saw the label."""

LEAST_AUC: Final = 0.6
"""Below it a model hardly tells patients apart: the label is not theirs."""

_LEAST_BY_ITSELF: Final = 0.45
"""By chance, with a label that has nothing to do with it, a feature has an AUC of 0.5 +- 0.02."""


class TripwireError(RuntimeError):
    """The figures cannot be believed, and nothing may be registered; the message says why."""


def check_data(data: Dataset) -> None:
    """Refuse a feature that never varies, and a label that contradicts medicine.

    Raises
    ------
    DataError
        If a feature has one value, or none, in all rows: a model would ask for it and ignore it. If
        more of a feature of `training.fit.RISING` goes with fewer diagnoses: the label is reversed.
    """
    for name in FEATURES:
        column = data.records[name].to_numpy(np.float64)
        if name in MEASUREMENTS:
            column = np.where(column == 0, np.nan, column)
        measured = ~np.isnan(column)
        if len(set(column[measured])) <= 1:
            raise DataError(
                f"column {name}: expected values that vary, all {len(column)} rows are alike"
            )
        by_itself = figures(data.labels[measured], column[measured], 0).get("auc", 0.5)
        if name in RISING and by_itself < _LEAST_BY_ITSELF:
            raise DataError(
                f"column {name}: more of it goes with fewer diagnoses (AUC {by_itself:.2f} by "
                "itself), expected the opposite: is the label reversed?"
            )


def check(evaluation: Evaluation) -> None:
    """Refuse figures that honest data does not give.

    All candidates are looked at: a leak that contradicts a constraint of the model shows in those
    that have none.

    Raises
    ------
    TripwireError
        If a cross-validated AUC is above `MOST_AUC`, or the model's below `LEAST_AUC`.
    """
    aucs = {name: evaluation.cross_validated[name]["auc"].value for name in CANDIDATES}
    highest = max(aucs, key=lambda name: aucs[name])
    if aucs[highest] > MOST_AUC:
        raise TripwireError(
            f"suspected leak: {CANDIDATES[highest].lower()} has a cross-validated AUC of "
            f"{aucs[highest]:.3f}, expected at most {MOST_AUC:g}; look for the label in the "
            "features, such as missing values that were imputed for each label apart. Nothing "
            "was registered"
        )
    if aucs[MODEL] < LEAST_AUC:
        raise TripwireError(
            f"the model has a cross-validated AUC of {aucs[MODEL]:.3f}, expected at least "
            f"{LEAST_AUC:g}; does each label belong to its row? Nothing was registered"
        )

"""The pictures of a training: each a figure, titled with what it shows."""

from collections.abc import Callable, Iterator
from typing import Final

from matplotlib.figure import Figure

from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.show.pictures.calibration import calibration
from mlflow_sealed.training.show.pictures.contributions import beeswarm, dependence
from mlflow_sealed.training.show.pictures.decisions import confusion, decision_curve
from mlflow_sealed.training.show.pictures.groups import groups
from mlflow_sealed.training.show.pictures.ranking import precision_recall, roc

FOLDER: Final = "pictures"
"""Where they are among a run's artifacts."""

PICTURES: Final[dict[str, Callable[[Evaluation], Figure]]] = {
    "roc": roc,
    "precision_recall": precision_recall,
    "calibration": calibration,
    "confusion": confusion,
    "decision_curve": decision_curve,
    "shap_beeswarm": beeswarm,
    "shap_dependence": dependence,
    "groups": groups,
}
"""By the name of the file, in the order in which a reader wants them."""


def draw(evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
    """Draw every picture, one after the other, with the name of its file."""
    for name, picture in PICTURES.items():
        yield f"{name}.png", picture(evaluation)

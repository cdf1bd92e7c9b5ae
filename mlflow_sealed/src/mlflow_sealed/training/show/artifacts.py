"""The files of a run that people look at: pictures, the slider over thresholds, the model card."""

import io

from matplotlib.figure import Figure

from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.show import card, pictures, threshold_slider
from mlflow_sealed.training.show.card import Provenance


def render(evaluation: Evaluation, origin: Provenance) -> dict[str, bytes | str]:
    """Return each file by its name among the run's artifacts: pictures as PNG, the others as text.

    The table of thresholds is not one of them (`threshold_slider.table`): MLflow has a way of its
    own to log tables.

    Raises
    ------
    mlflow_sealed.training.show.card.CardError
        If the project's part of the card is wrong.
    """
    text = card.card(evaluation, origin)
    return {
        **{f"{pictures.FOLDER}/{name}": _png(drawn) for name, drawn in pictures.draw(evaluation)},
        threshold_slider.PAGE: threshold_slider.page(evaluation),
        card.FILE: text,
        card.PAGE: card.page(text, evaluation.subject.project),
    }


def _png(figure: Figure) -> bytes:
    """Return a figure's bytes, without the version of what drew it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()

"""Log what a person looks at: pictures, the table of thresholds, the card, and descriptions."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import mlflow
from markupsafe import Markup
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE as NOTE  # an experiment's too

from mlflow_sealed.training.measure import evaluate
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.show import card, pictures
from mlflow_sealed.training.show import threshold_slider as tradeoff
from mlflow_sealed.training.show.templates import fill
from training.project import NAME

CARD: Final = "card.md"
CARD_PAGE: Final = "card.html"
"""The card among a run's artifacts."""

_KIND: Final = "mlflow.experimentKind"
_TRAINING: Final = "custom_model_development"  # the UI shows runs and models then, not chats

ABOUT_EXPERIMENT: Final = (
    "Trainings of the diabetes model. A run's overview tells what came of it; `card.html` and "
    "`pictures/` among its artifacts show it."
)
ABOUT_MODEL: Final = (
    "The probability of diabetes from eight fields of a patient. Not for clinical use. The alias "
    "`champion` is the version that is served, `challenger` the last one that did not replace it. "
    "A version's description is its model card."
)


def log_pictures(evaluation: Evaluation) -> None:
    """Log every picture as PNG, and the table of thresholds as JSON and as a page with a slider."""
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in pictures.draw(evaluation):
            figure.savefig(Path(folder) / name, metadata={"Software": None})
        mlflow.log_artifacts(folder, pictures.FOLDER)
    mlflow.log_table(tradeoff.table(evaluation), tradeoff.TABLE)
    page = {"title": "Another threshold", "body": Markup(slider(evaluation))}  # noqa: S704 # escaped
    mlflow.log_text(fill("page.html", page), tradeoff.PAGE)


def slider(evaluation: Evaluation) -> str:
    """Return the slider over thresholds, as a part of a page."""
    return fill("slider.html", {"slider": tradeoff.slider(evaluation)})


def log_card(evaluation: Evaluation) -> str:
    """Log the model card of the active run, describe the run by its gist.

    Returns
    -------
    str
        The card, short enough for a version's description.
    """
    run = _active()
    started = datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC)
    text = card.card(evaluation, card.provenance(run, f"{started:%Y-%m-%d}"))
    mlflow.log_text(text, CARD)
    mlflow.log_text(card.html(text, f"Model card: {NAME}"), CARD_PAGE)
    mlflow.set_tag(NOTE, gist(evaluation))
    return card.description(text)


def gist(evaluation: Evaluation) -> str:
    """Return what a run's overview says: the figures, and where the rest is."""
    where = (
        f"Among the artifacts: `{CARD_PAGE}` is the model card, `{pictures.FOLDER}/` has the "
        f"pictures, `{tradeoff.PAGE}` shows what another threshold would give."
    )
    return "\n\n".join([card.headline(evaluation), evaluate.table(evaluation), where])


def describe(experiment_id: str) -> None:
    """Say at the registered model and at the experiment what they are, unless somebody has."""
    client = MlflowClient()
    if not client.get_registered_model(NAME).description:
        client.update_registered_model(NAME, description=ABOUT_MODEL)
    tags = client.get_experiment(experiment_id).tags
    for key, value in {NOTE: ABOUT_EXPERIMENT, _KIND: _TRAINING}.items():
        if key not in tags:
            client.set_experiment_tag(experiment_id, key, value)


def _active() -> mlflow.entities.Run:
    """Return the active run as the store has it: with the tags that were set on the way."""
    run = mlflow.active_run()
    if run is None:
        raise mlflow.MlflowException("no run is active: start one before its card is logged")
    return mlflow.get_run(run.info.run_id)

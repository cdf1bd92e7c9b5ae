"""Write what a run shows as one HTML file, to send to someone.

The file needs no network and no other file. What it shows comes from the run's artifacts for people
(card, pictures, slider), its parameters and its metrics; the held-out rows stay where they are.
"""

import base64
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import mlflow
import mlflow.artifacts
from markupsafe import Markup
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException

from mlflow_sealed import drivers
from mlflow_sealed.project import Project
from mlflow_sealed.tracking import find_run
from mlflow_sealed.training.register.versions import CHAMPION, PROMOTION, RegisteredModel
from mlflow_sealed.training.show import card, pictures, threshold_slider
from mlflow_sealed.training.show.templates import fill

REPORT: Final = Path("report.html")


class ReportError(Exception):
    """There is nothing to report; the message says why and what to do."""


def write(project: Project, run_id: str | None, output: Path) -> str:
    """Write a run's report to a file, and return a line that says so.

    Parameters
    ----------
    run_id
        The champion's without one.

    Raises
    ------
    ReportError
        If there is no such run, no champion, or nothing to report.
    mlflow.exceptions.MlflowException
        If the tracking server fails.
    OSError
        If the file cannot be written.
    """
    run = find(project, run_id)
    output.write_text(report(project, run), encoding="utf-8")
    return f"{output}: run {run.info.run_id}, {output.stat().st_size / 1e6:.1f} MB"


def find(project: Project, run_id: str | None) -> Run:
    """Return a finished run, the champion's without an id.

    Raises
    ------
    ReportError
        If there is no such run, no champion, or the run has not finished.
    mlflow.exceptions.MlflowException
        If the tracking server fails.
    """
    run = find_run(run_id) if run_id else _champions_run(project.names.model)
    if run is None:
        raise ReportError(f"there is no run {run_id!r}: mlflow ui lists the runs")
    run_id = run.info.run_id
    if run.info.status != RunStatus.to_string(RunStatus.FINISHED):
        raise ReportError(f"run {run_id} is {run.info.status}: expected one that has finished")
    return run


def _champions_run(name: str) -> Run:
    version = RegisteredModel(name).champion()
    if version is None:
        raise ReportError(f"no version of {name} is the {CHAMPION}: train one, or name a run")
    run_id = MlflowClient().get_model_version(name, version).run_id
    run = find_run(run_id)
    if run is None:
        why = f"its run {run_id} is gone" if run_id else "it was registered without a run"
        raise ReportError(
            f"models:/{name}/{version}, the {CHAMPION}, has nothing to report: {why}; name another "
            "run, as in mlflow-sealed model report RUN_ID"
        )
    return run


def report(project: Project, run: Run) -> str:
    """Return a run's page.

    Raises
    ------
    ReportError
        If the run has no card or no pictures.
    mlflow_sealed.drivers.DriverError
        If they are stored where they cannot be read with what is installed.
    """
    drivers.check_artifacts(run.info.artifact_uri)
    name = project.names.model
    with tempfile.TemporaryDirectory() as folder:
        text = _text(run, card.FILE, folder)
        values = {
            "title": f"{name}: run {run.info.run_id}",
            "run": _run(run),
            "version": _version(run, name),
            "promotion": run.data.tags.get(PROMOTION, ""),
            "card": Markup(card.body(text)),  # noqa: S704 # escaped where it was made
            "slider": Markup(_slider(_text(run, threshold_slider.PAGE, folder))),  # noqa: S704 # likewise
            "pictures": [_picture(run, one, folder) for one in pictures.PICTURES],
        }
    return fill("report.html", values)


def _run(run: Run) -> dict[str, Any]:
    started = datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC)
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "started": f"{started:%Y-%m-%d %H:%M} UTC",
        "params": run.data.params,
        "metrics": {name: f"{value:.4g}" for name, value in run.data.metrics.items()},
    }


def _version(run: Run, name: str) -> str:
    """Return the registered version that a run has made, or nothing."""
    found = MlflowClient().search_model_versions(f"name='{name}' and run_id='{run.info.run_id}'")
    return next((f"models:/{name}/{one.version}" for one in found), "")


def _text(run: Run, name: str, folder: str) -> str:
    return _artifact(run, name, folder).read_text(encoding="utf-8")


def _picture(run: Run, name: str, folder: str) -> dict[str, str]:
    content = _artifact(run, f"{pictures.FOLDER}/{name}.png", folder).read_bytes()
    return {
        "title": name.replace("_", " "),
        "content": base64.b64encode(content).decode("ascii"),
    }


def _slider(page: str) -> str:
    """Return the part of the slider's page between the body's tags."""
    return page.partition("<body>")[2].partition("</body>")[0]


def _artifact(run: Run, name: str, folder: str) -> Path:
    try:
        found = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path=name, dst_path=folder
        )
    except MlflowException as error:
        raise ReportError(
            f"run {run.info.run_id} has no {name}: it was made before trainings logged it"
        ) from error
    return Path(found)

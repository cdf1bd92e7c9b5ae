"""Puts the server together for the model in a folder."""

import gc
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow
import mlflow.pyfunc
import yaml
from mlflow.models import Model

from mlflow_sealed.server import openapi
from mlflow_sealed.server.asgi.access_log import AccessLog
from mlflow_sealed.server.asgi.api_keys import ApiKeys
from mlflow_sealed.server.asgi.application import Application
from mlflow_sealed.server.asgi.inline_policy import InlinePolicy
from mlflow_sealed.server.asgi.invocations import Invocations
from mlflow_sealed.server.asgi.observers import Observers
from mlflow_sealed.server.asgi.pages import Readiness, pages
from mlflow_sealed.server.asgi.request import Handler
from mlflow_sealed.server.asgi.router import Router
from mlflow_sealed.server.metrics import Metrics
from mlflow_sealed.server.offload import Offload, Spawn
from mlflow_sealed.server.scoring import Scoring
from mlflow_sealed.server.settings import Settings

_EXAMPLE: Final = "serving_input_example.json"


@dataclass(frozen=True)
class Loaded:
    """A model that is loaded and has not predicted, and what all workers have in common.

    Attributes
    ----------
    scoring
        Scores requests to the model.
    settings
        The bounds.
    identity
        What the model is called.
    example
        Its input example as a request, if it has one.
    document
        The OpenAPI document, as JSON.
    """

    scoring: Scoring
    settings: Settings
    identity: Mapping[str, str]
    example: bytes | None
    document: bytes

    def application(self, spawn: Spawn) -> Application:
        """Make the application of one worker, which predicts now and is not forked after that.

        Parameters
        ----------
        spawn
            Starts a subprocess for slow requests.

        Raises
        ------
        mlflow_sealed.server.settings.StartError
            If the model cannot predict its own input example.
        """
        if self.example:
            self.scoring.warm_up(self.example)
        offload = Offload(spawn, max_requests=self.settings.max_requests)
        return _compose(self, offload)


def load(folder: Path, settings: Settings) -> Loaded:
    """Load a model.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If the model has no type hints.
    """
    # A warning shows the path of the code that warns. A filter would not do: MLflow sets its own.
    warnings.showwarning = lambda *_, **__: None
    model = mlflow.pyfunc.load_model(str(folder))
    scoring = Scoring(model, max_rows=settings.max_rows)
    identity, example = _identity(folder), _example(folder)
    document = openapi.document(
        scoring.reader,
        scoring.result,
        identity=identity,
        example=example,
        authenticated=bool(settings.api_keys),
    )
    _freeze()
    return Loaded(scoring, settings, identity, example, document)


def _freeze() -> None:
    """Tell the garbage collector that what is loaded stays: it need not visit it again.

    Its memory stays shared with what is forked then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _compose(loaded: Loaded, offload: Offload) -> Application:
    """Put the handlers around the model; the log and the counts take note of every request."""
    scoring, settings, document = loaded.scoring, loaded.settings, loaded.document
    metrics = Metrics(loaded.identity) if settings.metrics else None
    readiness = Readiness()
    policy = InlinePolicy(settings.inline_ms, scoring.seconds)
    invocations = Invocations(scoring.score, offload, policy, max_bytes=settings.max_body_bytes)
    router = Router(invocations, pages(document, metrics, readiness))
    handler: Handler = ApiKeys(router, settings.api_keys) if settings.api_keys else router
    return Application(
        handler,
        router.paths,
        settings,
        readiness=readiness,
        observers=Observers([AccessLog(), *([metrics] if metrics else [])]),
        in_flight=metrics.in_flight if metrics else nullcontext,
        close=offload.close,
    )


def _example(folder: Path) -> bytes | None:
    path = folder / _EXAMPLE
    return path.read_bytes() if path.is_file() else None


def _identity(folder: Path) -> dict[str, str]:
    """Return the names and versions that identify a model."""
    logged = Model.load(str(folder))
    path = folder / "registered_model_meta"
    registered = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    identity = {
        "model": registered.get("model_name") or "model",
        "version": registered.get("model_version") or "",
        "run_id": logged.run_id or "",
        "mlflow": mlflow.__version__,
        **{
            name: value for name, value in (logged.metadata or {}).items() if isinstance(value, str)
        },
    }
    return {name: str(value) for name, value in identity.items()}

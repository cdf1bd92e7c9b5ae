"""The servers that are compared: how each is started, how it is asked, how it answers."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.project import NAME, PROJECT, ROOT
from mlflow_sealed import process
from mlflow_sealed.feed import credential

Row = Mapping[str, Any]

OURS: Final = "ours"
UNMETERED: Final = "ours-unmetered"
SLEEPING: Final = "ours-sleeping"
DATAFRAME: Final = "mlflow-dataframe"

_PEERS: Final = ROOT / "benchmarks" / "peers"
_MLFLOW: Final = (
    # What `mlflow models serve` runs, without uvicorn's access log, which it cannot switch off.
    *("uvicorn", "--host", "127.0.0.1", "--workers", "1"),
    *("--no-access-log", "--log-level", "warning", "mlflow.pyfunc.scoring_server.app:app"),
)


@dataclass(frozen=True)
class Place:
    """Where a server runs: the ``bin`` of its environment, its port, and the models' folders."""

    binaries: Path
    port: int
    typed_model: Path
    dataframe_model: Path


@dataclass(frozen=True)
class Server:
    """A server.

    Attributes
    ----------
    name, title
        On the command line, and in tables.
    is_peer
        Whether ours is compared with it; the other ones are ours.
    about
        How it checks a request and what its settings are, for the reader of the results.
    locks
        What its environment is made from.
    framework
        The distributions that it is made with, to show their versions.
    program
        The program of its environment that starts it, and the arguments.
    environ
        What is set for it.
    path, path_many
        Where it takes one row, and many.
    body
        The request for one row, and for many.
    predictions
        The list of predictions in an answer.
    """

    name: str
    title: str
    about: str
    locks: tuple[Path, ...]
    framework: tuple[str, ...]
    program: Callable[[Place], Sequence[str]]
    environ: Callable[[Place], Mapping[str, str]]
    path: str
    body: Callable[[Sequence[Row]], Any]
    predictions: Callable[[Any], list[dict[str, Any]]]
    path_many: str = ""
    is_peer: bool = True

    def command(self, place: Place) -> list[str]:
        """Return the command that starts it."""
        program, *arguments = self.program(place)
        return [str(place.binaries / program), *arguments]

    def environment(self, place: Place) -> dict[str, str]:
        """Return the environment variables to start it with: no credential among them."""
        return {
            **credential.removed(os.environ),
            "PATH": f"{place.binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MODEL_ARTIFACTS": str(place.typed_model / "artifacts"),
            "MODEL_NAME": NAME,
            **self.environ(place),
        }

    def request(self, rows: Sequence[Row]) -> tuple[str, bytes]:
        """Return the path and the body to ask it with; JSON on one line."""
        path = self.path if len(rows) == 1 else self.path_many or self.path
        return path, json.dumps(self.body(rows), separators=(",", ":")).encode()

    def probabilities(self, answer: bytes) -> list[float]:
        """Return the probabilities of an answer, in the order of the rows.

        Raises
        ------
        mlflow_sealed.process.ProcessError
            If the answer is none.
        """
        try:
            return [float(one["probability"]) for one in self.predictions(json.loads(answer))]
        except (ValueError, LookupError, TypeError):
            raise process.ProcessError(f"{self.title}: the answer has no predictions") from None


def every() -> list[Server]:
    """Return all of them, ours first."""
    return [*_ours(), *_mlflow(), _fastapi(), _litserve(), _bentoml(), _mlserver()]


def _ours() -> list[Server]:
    def server(name: str, title: str, about: str, **environ: str) -> Server:
        return Server(
            name=name,
            title=title,
            about=about,
            locks=(PROJECT.lock("model"), PROJECT.lock("server")),
            framework=("mlflow-skinny",),
            program=lambda place: (
                "python",
                "-m",
                "mlflow_sealed.server.run",
                str(place.typed_model),
            ),
            environ=lambda place: {
                "HOST": "127.0.0.1",
                "PORT": str(place.port),
                "MLFLOW_MODELS_WORKERS": "1",
                **environ,
            },
            path="/invocations",
            body=_inputs,
            predictions=_predictions,
            is_peer=False,
        )

    return [
        server(OURS, "ours", "every field of every row is checked; its log and /metrics are on"),
        server(
            UNMETERED, "ours, metrics off", "SCORING_METRICS=0, else the same", SCORING_METRICS="0"
        ),
        server(
            SLEEPING,
            "ours, no busy polling",
            "SCORING_BUSY_POLL_US=0, else the same",
            SCORING_BUSY_POLL_US="0",
        ),
    ]


def _mlflow() -> list[Server]:
    def server(
        name: str,
        title: str,
        about: str,
        model: Callable[[Place], Path],
        body: Callable[[Sequence[Row]], Any],
    ) -> Server:
        return Server(
            name=name,
            title=title,
            about=f"{about}; uvloop, httptools, no access log",
            locks=(PROJECT.lock("peer_mlflow"),),
            framework=("mlflow-skinny", "fastapi"),
            program=lambda place: (*_MLFLOW, "--port", str(place.port)),
            environ=lambda place: {"__pyfunc_model_path__": str(model(place))},
            path="/invocations",
            body=body,
            predictions=_predictions,
        )

    return [
        server(
            "mlflow-typed",
            "MLflow, typed model",
            "the stock server with our model; every field of every row is checked",
            lambda place: place.typed_model,
            _inputs,
        ),
        server(
            DATAFRAME,
            "MLflow, DataFrame",
            "the stock server with the same model and a DataFrame signature, asked with "
            "dataframe_split; the types of the columns are checked, no ranges",
            lambda place: place.dataframe_model,
            _dataframe_split,
        ),
    ]


def _fastapi() -> Server:
    return Server(
        name="fastapi",
        title="FastAPI, as in the article",
        about="Pydantic, XGBClassifier; async functions, uvloop, httptools, no access log",
        locks=(PROJECT.lock("peer_fastapi"),),
        framework=("fastapi",),
        program=lambda place: (
            *("uvicorn", "--host", "127.0.0.1", "--port", str(place.port), "--workers", "1"),
            *("--no-access-log", "--log-level", "warning", "benchmarks.peers.fastapi.service:app"),
        ),
        environ=_nothing,
        path="/predict",
        path_many="/predict/many",
        body=lambda rows: rows[0] if len(rows) == 1 else list(rows),
        predictions=lambda answer: answer if isinstance(answer, list) else [answer],
    )


def _litserve() -> Server:
    return Server(
        name="litserve",
        title="LitServe",
        about="Pydantic; one HTTP process and one worker, its fast queue, uvloop, no access log",
        locks=(PROJECT.lock("peer_litserve"),),
        framework=("litserve", "fastapi"),
        program=lambda place: (
            "python",
            "-m",
            "benchmarks.peers.litserve.service",
            str(place.port),
        ),
        environ=_nothing,
        path="/predict",
        body=_inputs,
        predictions=_predictions,
    )


def _bentoml() -> Server:
    return Server(
        name="bentoml",
        title="BentoML",
        about="Pydantic; an async method, uvloop, httptools, no access log, no metrics",
        locks=(PROJECT.lock("peer_bentoml"),),
        framework=("bentoml",),
        program=lambda place: (
            *("bentoml", "serve", "benchmarks.peers.bentoml.service:Diabetes"),
            *("--host", "127.0.0.1", "--port", str(place.port)),
        ),
        environ=lambda place: {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(place.binaries.parent / "bentoml"),
        },
        path="/predict",
        body=lambda rows: {"patients": list(rows)},
        predictions=list,
    )


def _mlserver() -> Server:
    return Server(
        name="mlserver",
        title="MLServer",
        about="a runtime with Pydantic, in the server's process; JSON in a string tensor; uvloop, "
        "httptools, no access log, no metrics, no gzip",
        locks=(PROJECT.lock("peer_mlserver"),),
        framework=("mlserver", "fastapi"),
        program=lambda _: ("mlserver", "start", str(_PEERS / "mlserver")),
        environ=lambda place: {
            "MLSERVER_HTTP_PORT": str(place.port),
            "MLSERVER_GRPC_PORT": str(process.free_port()),
        },
        path="/v2/models/peer/infer",
        body=_string_tensor,
        predictions=lambda answer: list(json.loads(answer["outputs"][0]["data"][0])),
    )


def _nothing(_: Place) -> dict[str, str]:
    return {}


def _inputs(rows: Sequence[Row]) -> dict[str, Any]:
    return {"inputs": list(rows)}


def _dataframe_split(rows: Sequence[Row]) -> dict[str, Any]:
    data = [list(row.values()) for row in rows]
    return {"dataframe_split": {"columns": list(rows[0]), "data": data}}


def _string_tensor(rows: Sequence[Row]) -> dict[str, Any]:
    text = json.dumps(list(rows), separators=(",", ":"))
    return {"inputs": [{"name": "patients", "shape": [1], "datatype": "BYTES", "data": [text]}]}


def _predictions(answer: Any) -> list[dict[str, Any]]:
    return list(answer["predictions"])

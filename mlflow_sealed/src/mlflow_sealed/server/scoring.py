"""From the bytes of a request to the bytes of the response, for a pyfunc with type hints."""

import inspect
import time
import typing
from collections.abc import Callable
from typing import Any

from mlflow.pyfunc import PyFuncModel
from pydantic import TypeAdapter

from mlflow_sealed.server import mlflow_compat
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON
from mlflow_sealed.server.protocol.reader import Reader
from mlflow_sealed.server.result import ScoringResult
from mlflow_sealed.server.settings import StartError


class Scoring:
    """Reads a request, predicts, and serialises the predictions: the same path for every request.

    Parameters
    ----------
    model
        A pyfunc whose ``predict`` takes a list of a type that pydantic knows.
    max_rows
        The most rows in a request.

    Attributes
    ----------
    seconds
        How long the model took for its input example; 0 before `warm_up`.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If the model has no such type hints.
    """

    def __init__(self, model: PyFuncModel, *, max_rows: int) -> None:
        found = mlflow_compat.python_model(model)
        if found is None:
            raise StartError(
                "this model is no pyfunc of Python code: log one with type hints on predict"
            )
        python_model, context = found
        predict = mlflow_compat.unwrapped_predict(python_model)
        row, result = _types(predict)
        self.reader = Reader(row, model.metadata.get_params_schema(), max_rows=max_rows)
        self.result = TypeAdapter(result)
        parameters = inspect.signature(predict).parameters
        self._first = (python_model, context) if "context" in parameters else (python_model,)
        self._takes_params = "params" in parameters
        self._predict = predict
        self._dump = self.result.serializer.to_json
        self.seconds = 0.0

    def score(self, media_type: str, body: bytes) -> ScoringResult:
        """Return the result for a body of a media type; an exception becomes an error status."""
        begin = time.perf_counter()
        try:
            rows, params = self.reader.read(media_type, body)
            if self._takes_params:
                predictions = self._predict(*self._first, rows, params)
            else:
                predictions = self._predict(*self._first, rows)
            dumped = self._dump(predictions, warnings="error")
        except RequestError as error:
            return ScoringResult(error.status, 0, str(error).encode())
        except Exception as error:  # noqa: BLE001 # its text could show a value
            return ScoringResult(500, 0, f"the model failed with {type(error).__name__}".encode())
        seconds = time.perf_counter() - begin
        kept = (rows, predictions) if isinstance(predictions, list) else (rows,)
        return ScoringResult(200, len(rows), b'{"predictions": %b}' % dumped, seconds, kept)

    def warm_up(self, example: bytes) -> None:
        """Score a request in JSON, and measure how long that takes.

        Raises
        ------
        mlflow_sealed.server.settings.StartError
            If it cannot be scored.
        """
        for _ in range(2):  # the first also does what is done once
            result = self.score(JSON, example)
            self.seconds = result.seconds
            if result.status != 200:  # noqa: PLR2004 # OK
                raise StartError(
                    f"the model does not answer its own input example: {result.body.decode()}"
                )


def _types(predict: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the type of a row, and the type that ``predict`` returns."""
    hints = typing.get_type_hints(predict)
    result = hints.pop("return", Any)
    names = [
        name for name in inspect.signature(predict).parameters if name not in {"self", "context"}
    ]
    rows = hints.get(names[0]) if names else None
    if typing.get_origin(rows) is not list:
        raise StartError(
            "predict of this model does not say list[…] of what it takes: log it with type hints"
        )
    return typing.get_args(rows)[0], result

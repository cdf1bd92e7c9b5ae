"""From the bytes of a request to the bytes of the answer, for a pyfunc with type hints."""

import inspect
import time
import typing
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow.pyfunc import PyFuncModel
from pydantic import TypeAdapter

from mlflow_sealed.server.beside import Outcome
from mlflow_sealed.server.protocol.refusals import Refusal
from mlflow_sealed.server.protocol.rows import JSON, Reader
from mlflow_sealed.server.settings import StartError


class Scoring:
    """From the bytes of a request to the bytes of the answer: the one path for every request.

    Parameters
    ----------
    model
        A pyfunc whose ``predict`` takes a list of a type that pydantic knows.
    max_rows
        The most rows in a request.

    Attributes
    ----------
    seconds
        How long the model took for its input example; 0 as long as nobody knows.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If the model has no such type hints.
    """

    def __init__(self, model: PyFuncModel, *, max_rows: int) -> None:
        python_model, context = _python_model(model)
        # MLflow's own wrapper of predict checks every row again, one by one.
        predict = inspect.unwrap(type(python_model).predict)
        row, result = _types(predict)
        self.reader = Reader(row, model.metadata.get_params_schema(), max_rows=max_rows)
        self.result = TypeAdapter(result)
        parameters = inspect.signature(predict).parameters
        self._first = (python_model, context) if "context" in parameters else (python_model,)
        self._takes_params = "params" in parameters
        self._predict = predict
        self._dump = self.result.serializer.to_json
        self.seconds = 0.0

    def answer(self, kind: str, body: bytes) -> Outcome:
        """Return the answer to a body in one of the formats; whatever fails is an answer too."""
        begin = time.perf_counter()
        try:
            rows, params = self.reader.read(kind, body)
            if self._takes_params:
                predictions = self._predict(*self._first, rows, params)
            else:
                predictions = self._predict(*self._first, rows)
            dumped = self._dump(predictions, warnings="error")
        except Refusal as refusal:
            return Outcome(refusal.status, 0, str(refusal).encode())
        except Exception as error:  # noqa: BLE001 # its text could show a value
            return Outcome(500, 0, f"the model failed with {type(error).__name__}".encode())
        took_s = time.perf_counter() - begin
        kept = (rows, predictions) if isinstance(predictions, list) else (rows,)
        return Outcome(200, len(rows), b'{"predictions": %b}' % dumped, took_s, kept)

    def warm_up(self, example: bytes) -> None:
        """Answer a request in JSON, and measure how long that takes.

        Raises
        ------
        mlflow_sealed.server.settings.StartError
            If it gets no answer.
        """
        for _ in range(2):  # the first also makes what is made once
            outcome = self.answer(JSON, example)
            self.seconds = outcome.seconds
            if outcome.status != 200:  # noqa: PLR2004 # OK
                raise StartError(
                    f"the model does not answer its own input example: {outcome.body.decode()}"
                )


def _python_model(model: PyFuncModel) -> tuple[Any, Any]:
    try:
        return model.unwrap_python_model(), model._model_impl.context  # noqa: SLF001 # no other way
    except (AttributeError, mlflow.MlflowException):
        raise StartError(
            "this model is no pyfunc of Python code: log one with type hints on predict"
        ) from None


def _types(predict: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the type of a row, and the type of what ``predict`` returns."""
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

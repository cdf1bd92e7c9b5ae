"""What the server uses of MLflow that is not part of its public interface.

tests/mlflow_sealed/server/test_mlflow_compat.py fails when MLflow changes it.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import mlflow
from mlflow.exceptions import HTTP_STATUS_TO_ERROR_CODE
from mlflow.pyfunc import PyFuncModel

ERROR_CODES: Final[Mapping[int, str]] = {
    **HTTP_STATUS_TO_ERROR_CODE,
    405: "BAD_REQUEST",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    415: "BAD_REQUEST",
}
"""MLflow's names for errors, by HTTP status; the last four are ours, in MLflow's words."""


def python_model(model: PyFuncModel) -> tuple[Any, Any] | None:
    """Return the Python model of a pyfunc and its context, None for another flavor.

    MLflow has `unwrap_python_model` for the first, and nothing for the second.
    """
    try:
        return model.unwrap_python_model(), model._model_impl.context  # noqa: SLF001
    except (AttributeError, mlflow.MlflowException):
        return None


def unwrapped_predict(python_model: Any) -> Callable[..., Any]:
    """Return a model's own ``predict``: MLflow's wrapper checks every row again, one by one."""
    predict: Callable[..., Any] = inspect.unwrap(type(python_model).predict)
    return predict

"""What the server uses of MLflow's insides is there, and needed."""

import mlflow.pyfunc
import pytest
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.model import PythonModel

from mlflow_sealed.server import mlflow_compat
from mlflow_sealed.server.mlflow_compat import ERROR_CODES
from tests.mlflow_sealed.server.running import save_slow_model
from tests.mlflow_sealed.server.slow_model import Task


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    folder = tmp_path_factory.mktemp("saved")
    model: PyFuncModel = mlflow.pyfunc.load_model(str(save_slow_model(folder / "model")))
    return model


def test_a_pyfunc_has_a_python_model_and_its_context(loaded: PyFuncModel) -> None:
    found = mlflow_compat.python_model(loaded)
    assert found is not None
    python_model, context = found
    assert isinstance(python_model, PythonModel)
    assert context.artifacts == {}


def test_another_flavor_has_none() -> None:
    assert mlflow_compat.python_model(object()) is None  # type: ignore[arg-type]


def test_a_models_own_predict_checks_no_row_again(loaded: PyFuncModel) -> None:
    found = mlflow_compat.python_model(loaded)
    assert found is not None
    predict = mlflow_compat.unwrapped_predict(found[0])
    no_task = Task.model_construct(seconds=0)
    assert predict(found[0], [no_task])[0].pid > 0
    assert predict.__code__.co_filename.endswith("slow_model.py")


def test_control_mlflow_wraps_predict(loaded: PyFuncModel) -> None:
    found = mlflow_compat.python_model(loaded)
    assert found is not None
    predict = type(found[0]).predict
    assert not predict.__code__.co_filename.endswith("slow_model.py")


def test_errors_have_mlflows_names() -> None:
    names = {status: ERROR_CODES[status] for status in (400, 401, 404, 500, 503, 504)}
    assert names == {
        400: "BAD_REQUEST",
        401: "UNAUTHENTICATED",
        404: "ENDPOINT_NOT_FOUND",
        500: "INTERNAL_ERROR",
        503: "TEMPORARILY_UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }

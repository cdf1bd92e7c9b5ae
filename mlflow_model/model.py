"""The pyfunc: XGBoost behind the private preprocessing.

MLflow copies this file into the model and executes it there, so it imports installed distributions
only, and its last line names the model.
"""

import ctypes
import hashlib
import importlib.metadata
import json
import threading
from pathlib import Path
from typing import Any, Final

import mlflow.models
import numpy as np
import numpy.typing as npt
import xgboost
import xgboost.libpath
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

import mypreprocessing
from mypreprocessing import FEATURES, Patient, preprocess

NAME: Final = "diabetes"
"""The name of the model: in the registry, and in every prediction."""


class Prediction(BaseModel):
    """The answer for one patient."""

    model: str = Field(description="Name of the model", examples=[NAME])
    pred: int = Field(description="1: diabetes, 0: none", ge=0, le=1, examples=[1])
    probability: float = Field(
        description="Probability of diabetes; pred is 1 from the model's threshold on",
        ge=0,
        le=1,
        examples=[0.73],
    )


class PackageRecord(TypedDict):
    """What a model remembers of the preprocessing that it was trained with."""

    version: str
    files: dict[str, str]


class TrainingRecord(TypedDict):
    """What a model remembers of its training, apart from the trees.

    ``threshold`` is the probability from which `Prediction.pred` is 1.
    """

    threshold: float
    mypreprocessing: PackageRecord


class PreprocessingMismatchError(RuntimeError):
    """The installed mypreprocessing is not the one that the model was trained with."""


class FeatureMismatchError(RuntimeError):
    """The booster was trained on other columns, or in another order."""


def installed_package() -> PackageRecord:
    """Return the version of the imported mypreprocessing and the SHA-256 of each of its files."""
    folder = Path(mypreprocessing.__file__).parent
    return {
        "version": importlib.metadata.version("mypreprocessing"),
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        },
    }


def check_package(trained: PackageRecord, installed: PackageRecord) -> None:
    """Compare the preprocessing at hand with the one that the model was trained with.

    Raises
    ------
    PreprocessingMismatchError
        If the version, or any file, is another one; names both versions and the files.
    """
    if trained == installed:
        return
    names = sorted(trained["files"].keys() | installed["files"].keys())
    changed = [name for name in names if trained["files"].get(name) != installed["files"].get(name)]
    raise PreprocessingMismatchError(
        f"the model was trained with mypreprocessing {trained['version']}, installed is "
        f"{installed['version']}; files that differ: {changed}. Install the version in the "
        "model's requirements.txt from the feed, or train again"
    )


class Trees:
    """A booster that predicts through XGBoost's C interface.

    It answers what `xgboost.Booster.inplace_predict` answers, to the bit. For one row that takes
    twice as long as all the rest of a request: it makes, each time, an object that asks the kernel
    how many processors there are. Here each thread keeps one.

    Parameters
    ----------
    booster
        Trained on dense float32 features.
    """

    def __init__(self, booster: xgboost.Booster) -> None:
        self.booster = booster
        self._library = ctypes.CDLL(xgboost.libpath.find_lib_path()[0])
        self._library.XGBGetLastError.restype = ctypes.c_char_p
        self._thread = threading.local()
        self._options = json.dumps(
            {
                "type": 0,  # probabilities
                "training": False,
                "iteration_begin": 0,
                "iteration_end": 0,  # all trees
                "missing": float("nan"),
                "strict_shape": False,
                "cache_id": 0,
            }
        ).encode()

    def probabilities(self, features: npt.NDArray[np.float32]) -> list[float]:
        """Return the probability for each row. Threads may call it at the same time.

        https://xgboost.readthedocs.io/en/stable/c.html has XGBoosterPredictFromDense.

        Parameters
        ----------
        features
            float32, C-contiguous, shape (n, number of features), NaN where a value is missing.

        Raises
        ------
        xgboost.core.XGBoostError
            If the booster refuses the features.
        """
        rows, columns = features.shape
        array = b'{"data": [%d, true], "shape": [%d, %d], "typestr": "<f4", "version": 3}' % (
            features.ctypes.data,
            rows,
            columns,
        )
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        found = ctypes.POINTER(ctypes.c_float)()
        self._check(
            self._library.XGBoosterPredictFromDense(
                self.booster.handle,
                array,
                self._options,
                self._proxy(),
                ctypes.byref(shape),
                ctypes.byref(dimensions),
                ctypes.byref(found),
            )
        )
        return found[:rows]

    def _proxy(self) -> ctypes.c_void_p:
        """Return what hands features to the booster; every thread has its own, for good."""
        proxy: ctypes.c_void_p | None = getattr(self._thread, "proxy", None)
        if proxy is None:
            proxy = ctypes.c_void_p()
            self._check(self._library.XGProxyDMatrixCreate(ctypes.byref(proxy)))
            self._thread.proxy = proxy
        return proxy

    def _check(self, failed: int) -> None:
        if failed:
            raise xgboost.core.XGBoostError(self._library.XGBGetLastError().decode())


class DiabetesModel(PythonModel):
    """Predict diabetes from `Patient` records.

    It has two artifacts: ``booster``, XGBoost's UBJSON file, and ``training``, a `TrainingRecord`
    in JSON.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the booster, after checking that training and serving preprocess alike.

        Raises
        ------
        pydantic.ValidationError
            If the training record is not one.
        PreprocessingMismatchError
            If mypreprocessing is not the one that the model was trained with.
        FeatureMismatchError
            If the booster's columns are not `FEATURES`, in this order.
        """
        record = Path(context.artifacts["training"]).read_bytes()
        training = TypeAdapter(TrainingRecord).validate_json(record)
        check_package(training["mypreprocessing"], installed_package())
        self._threshold = training["threshold"]
        # A request is small: handing it to several threads costs more than it saves.
        booster = xgboost.Booster({"nthread": 1}, model_file=context.artifacts["booster"])
        if booster.feature_names != list(FEATURES):
            raise FeatureMismatchError(
                f"the booster has the columns {booster.feature_names}, "
                f"expected {list(FEATURES)}: train again"
            )
        self._trees = Trees(booster)

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[Patient],
        params: dict[str, Any] | None = None,
    ) -> list[Prediction]:
        """Return one prediction for each patient, in their order.

        The whole request costs one call of the booster.
        """
        del context, params
        probabilities = self._trees.probabilities(preprocess(model_input))
        return [
            Prediction(
                model=NAME, pred=int(probability >= self._threshold), probability=probability
            )
            for probability in probabilities
        ]


mlflow.models.set_model(DiabetesModel())

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
from typing import Annotated, Any, Final, NotRequired

import mlflow.models
import numpy as np
import numpy.typing as npt
import xgboost
import xgboost.libpath
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

import mypreprocessing
from mypreprocessing import FEATURES, Patient, preprocess

NAME: Final = "diabetes"
"""The name of the model: in the registry, and in every prediction."""

EXPLAIN: Final = "explain"
"""The parameter that asks for a `Prediction` with its reasons: true or false, the default."""


class Prediction(TypedDict):
    """The answer for one patient.

    Asked to `EXPLAIN`, it also has what each feature contributes: ``base_value`` and
    ``contributions`` add up to the log-odds of ``probability``, log(probability /
    (1 - probability)).
    """

    # A dictionary: ten thousand objects that check themselves take longer than the trees.
    model: Annotated[str, Field(description="Name of the model", examples=[NAME])]
    pred: Annotated[int, Field(description="1: diabetes, 0: none", ge=0, le=1, examples=[1])]
    probability: Annotated[
        float,
        Field(
            description="Probability of diabetes; pred is 1 from the model's threshold on",
            ge=0,
            le=1,
            examples=[0.73],
        ),
    ]
    base_value: NotRequired[
        Annotated[
            float,
            Field(
                description=(
                    "Explained only: log-odds before any feature counts, which is what the trees "
                    "expect over the patients that they were fitted to; the same in every answer"
                ),
                json_schema_extra={"unit": "log-odds"},
                examples=[-0.63],
            ),
        ]
    ]
    contributions: NotRequired[
        Annotated[
            dict[str, float],
            Field(
                description=(
                    "Explained only: what each feature adds to the log-odds (its SHAP value), also "
                    "one that was not measured; above 0: towards diabetes"
                ),
                json_schema_extra={"unit": "log-odds", "propertyNames": {"enum": list(FEATURES)}},
                examples=[dict(zip(FEATURES, (-0.1, 0.9, 0, 0.02, 0.1, 0.4, 0, 0.3), strict=True))],
            ),
        ]
    ]


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


class FeatureLayoutError(RuntimeError):
    """Features lie in memory in another way than XGBoost would read them."""


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


class _Call(threading.local):
    """What XGBoost's C interface needs for a call; every thread has its own, for good."""

    def __init__(self) -> None:
        self.proxy = ctypes.c_void_p()  # hands features to the booster
        self.shape = ctypes.POINTER(ctypes.c_uint64)()
        self.found = ctypes.POINTER(ctypes.c_float)()
        dimensions = ctypes.c_uint64()
        # The last arguments of a call: where it writes where its results are.
        self.results = (*map(ctypes.byref, (self.shape, dimensions, self.found)),)


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
        self._width = (booster.num_features(),)
        self._library = ctypes.CDLL(xgboost.libpath.find_lib_path()[0])
        self._library.XGBGetLastError.restype = ctypes.c_char_p
        self._call = _Call()
        all_trees = {"iteration_begin": 0, "iteration_end": 0}
        options = {"training": False, **all_trees, "strict_shape": False}
        missing = {"missing": float("nan")}
        self._probabilities = json.dumps({**options, **missing, "type": 0, "cache_id": 0}).encode()
        self._contributions = json.dumps({**options, "type": 2}).encode()
        self._address = b'{"data": [%d, true], "shape": [%d, %d], "typestr": "<f4", "version": 3}'
        self._matrix = json.dumps({**missing, "nthread": 1}).encode()

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability for each row. Threads may call it at the same time.

        https://xgboost.readthedocs.io/en/stable/c.html has XGBoosterPredictFromDense.

        Parameters
        ----------
        features
            float32, C-contiguous, shape (n, number of features), NaN where a value is missing.

        Returns
        -------
        numpy.ndarray
            float32, shape (n,).

        Raises
        ------
        FeatureLayoutError
            If the features are something else.
        """
        call = self._call
        if call.proxy.value is None:
            self._check(self._library.XGProxyDMatrixCreate(ctypes.byref(call.proxy)))
        self._check(
            self._library.XGBoosterPredictFromDense(
                self.booster.handle,
                self.address(features),
                self._probabilities,
                call.proxy,
                *call.results,
            )
        )
        # A copy: the next call of this thread writes to the same place.
        return np.frombuffer(ctypes.string_at(call.found, 4 * len(features)), np.float32)

    def contributions(self, features: npt.NDArray[np.float32]) -> list[list[float]]:
        """Return what each feature adds to the log-odds of each row, then the base value.

        They are SHAP values by the trees' own paths (Lundberg et al. 2020,
        https://doi.org/10.1038/s42256-019-0138-9), and those of a row add up to its log-odds.
        Threads may call it at the same time.

        Parameters
        ----------
        features
            As for `probabilities`.
        """
        call = self._call
        matrix = ctypes.c_void_p()
        self._check(
            self._library.XGDMatrixCreateFromDense(
                self.address(features), self._matrix, ctypes.byref(matrix)
            )
        )
        try:
            self._check(
                self._library.XGBoosterPredictFromDMatrix(
                    self.booster.handle, matrix, self._contributions, *call.results
                )
            )
        finally:
            self._check(self._library.XGDMatrixFree(matrix))
        rows, size = call.shape[:2]
        return [call.found[row * size : (row + 1) * size] for row in range(rows)]

    def address(self, features: npt.NDArray[np.float32]) -> bytes:
        """Return where features are, in XGBoost's terms: it reads whatever lies there.

        Raises
        ------
        FeatureLayoutError
            If they are not what `probabilities` takes.
        """
        if type(features) is np.ndarray:  # no subclass: what is masked would count
            found = features.__array_interface__  # features.ctypes takes three times as long
            shape, is_in_c_order = found["shape"], found["strides"] is None
            if is_in_c_order and shape[1:] == self._width and found["typestr"] == "<f4":
                return self._address % (found["data"][0], *shape)
        raise FeatureLayoutError(
            f"got {_layout(features)} from preprocess, expected an array of float32 in C order, "
            f"shape (n, {self._width[0]}): mend mypreprocessing, or use the version before"
        )

    def _check(self, failed: int) -> None:
        if failed:
            raise xgboost.core.XGBoostError(self._library.XGBGetLastError().decode())


def _layout(features: object) -> str:
    """Return what may be told of features: no value."""
    if type(features) is not np.ndarray:
        return f"{type(features).__module__}.{type(features).__qualname__}"
    order = "C order" if features.flags.c_contiguous else "another order"
    return f"an array of {features.dtype} in {order}, shape {features.shape}"


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
        FeatureLayoutError
            If preprocess does not return what XGBoost takes.
        """
        record = Path(context.artifacts["training"]).read_bytes()
        training = TypeAdapter(TrainingRecord).validate_json(record)
        check_package(training["mypreprocessing"], installed_package())
        self._threshold = training["threshold"]
        # A small request on several threads costs more than it saves, and a large one is answered
        # in a fork (beside.py) where threads of the process before it would be waited for in vain.
        booster = xgboost.Booster({"nthread": 1}, model_file=context.artifacts["booster"])
        if booster.feature_names != list(FEATURES):
            raise FeatureMismatchError(
                f"the booster has the columns {booster.feature_names}, "
                f"expected {list(FEATURES)}: train again"
            )
        self._trees = Trees(booster)
        # Two, for the order shows. Nothing is predicted before beside.py has forked.
        example = Patient.model_construct(None, **dict.fromkeys(FEATURES, 1))
        self._trees.address(preprocess([example, example]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[Patient],
        params: dict[str, Any] | None = None,
    ) -> list[Prediction]:
        """Return one prediction for each patient, in their order.

        The whole request costs one call of the booster, and another one where ``params`` has
        `EXPLAIN`: then each has its reasons.
        """
        del context
        features = preprocess(model_input)
        pred, probability = (decided.tolist() for decided in self.decide(features))
        predictions: list[Prediction] = [
            {"model": NAME, "pred": one, "probability": its}
            for one, its in zip(pred, probability, strict=True)
        ]
        if params and params.get(EXPLAIN):
            for prediction, (*contributions, base_value) in zip(
                predictions, self._trees.contributions(features), strict=True
            ):
                prediction["base_value"] = base_value
                prediction["contributions"] = dict(zip(FEATURES, contributions, strict=True))
        return predictions

    def decide(
        self, features: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Return ``pred`` and ``probability``, int8 and float64, of what `preprocess` returns."""
        # Wide before it is compared: numpy would round the threshold to float32.
        probabilities = self._trees.probabilities(features).astype(np.float64)
        return (probabilities >= self._threshold).view(np.int8), probabilities


mlflow.models.set_model(DiabetesModel())

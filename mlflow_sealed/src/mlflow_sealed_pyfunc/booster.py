"""XGBoost's booster, called through its C interface, which answers as Python's does, to the bit."""

import ctypes
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xgboost
import xgboost.libpath

_ROWS_A_THREAD: Final = 2000
"""Fewer rows are predicted before another thread has begun."""


class FeatureLayoutError(RuntimeError):
    """Features lie in memory in another way than XGBoost would read them."""


class _Call(threading.local):
    """What XGBoost's C interface needs for a call; every thread has its own, for good."""

    def __init__(self) -> None:
        self.proxy = ctypes.c_void_p()  # hands features to the booster
        self.shape = ctypes.POINTER(ctypes.c_uint64)()
        self.found = ctypes.POINTER(ctypes.c_float)()
        dimensions = ctypes.c_uint64()
        # The last arguments of a call: where it writes where its results are.
        self.results = (*map(ctypes.byref, (self.shape, dimensions, self.found)),)


class Booster:
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
        self._processors = _processors()
        self._threads = ThreadPoolExecutor(1)  # it has no thread before it needs one
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
        found = self._predict(features)
        # A copy: the next call of this thread writes to the same place.
        return np.frombuffer(ctypes.string_at(found, 4 * len(features)), np.float32)

    def probability_list(self, features: npt.NDArray[np.float32]) -> list[float]:
        """Return what `probabilities` returns, as a list: for one row an array costs more.

        Of many rows a second thread predicts half, if there is a processor for it.

        Parameters
        ----------
        features
            As for `probabilities`.
        """
        size = len(features)
        if size < 2 * _ROWS_A_THREAD or self._processors == 1:
            return self._list(features)
        half = size // 2
        other = self._threads.submit(self._list, features[half:])
        return self._list(features[:half]) + other.result()

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
            f"shape (n, {self._width[0]}): mend the preprocessing, or use the version before"
        )

    def _list(self, features: npt.NDArray[np.float32]) -> list[float]:
        found: list[float] = self._predict(features)[: len(features)]
        return found

    def _predict(self, features: npt.NDArray[np.float32]) -> Any:
        """Return a pointer to the probabilities, good until the next call of this thread."""
        call = self._call
        if call.proxy.value is None:
            self._check(self._library.XGProxyDMatrixCreate(ctypes.byref(call.proxy)))
        address = self.address(features)
        self._check(
            self._library.XGBoosterPredictFromDense(
                self.booster.handle, address, self._probabilities, call.proxy, *call.results
            )
        )
        return call.found

    def _check(self, failed: int) -> None:
        if failed:
            raise xgboost.core.XGBoostError(self._library.XGBGetLastError().decode())


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _layout(features: object) -> str:
    """Return what may be told of features: no value."""
    if type(features) is not np.ndarray:
        return f"{type(features).__module__}.{type(features).__qualname__}"
    order = "C order" if features.flags.c_contiguous else "another order"
    return f"an array of {features.dtype} in {order}, shape {features.shape}"

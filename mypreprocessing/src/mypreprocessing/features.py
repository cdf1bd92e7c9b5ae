"""From records to the array of features that the model sees."""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mypreprocessing.patient import FEATURES, MEASUREMENTS, Patient

_VALUES_OF: Final = attrgetter(*FEATURES)
_MEASURED: Final = np.array([name in MEASUREMENTS for name in FEATURES])
_NOT_MEASURED: Final = np.where(_MEASURED, np.float32(0), np.float32("nan"))  # nan equals nothing
_NOT_NUMBERS: Final = (ArithmeticError, TypeError, ValueError)
_NUMBERS: Final = {"integer", "floating", "mixed-integer-float", "decimal", "empty"}


def preprocess(records: Sequence[Patient] | pd.DataFrame) -> npt.NDArray[np.float32]:
    """Turn records into the features of the model.

    Parameters
    ----------
    records
        Checked records, or a DataFrame with exactly the columns of `FEATURES`, in any order and in
        the units of `Patient`. It is not changed. The values of a DataFrame have to be finite
        numbers, but their ranges are not checked: that is what `Patient` is for.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, 8), the columns in the order of `FEATURES`. NaN where a measurement
        (`MEASUREMENTS`) is null or 0, which means 'not measured'. Shape (0, 8) for no records.

    Raises
    ------
    TypeError
        If what is given is neither, an element of the sequence is not a `Patient`, or a column
        holds something other than numbers.
    ValueError
        If a column is missing, surplus or there twice, holds a number beyond float32, or is null
        where no measurement is. No message shows a value.

    Examples
    --------
    >>> patient = Patient(
    ...     pregnancies=0, glucose=0, blood_pressure=66, skin_thickness=30,
    ...     insulin=None, bmi=34.5, diabetes_pedigree=0.25, age=33,
    ... )
    >>> preprocess([patient])
    array([[ 0.  ,   nan, 66.  , 30.  ,   nan, 34.5 ,  0.25, 33.  ]],
          dtype=float32)
    """
    if isinstance(records, pd.DataFrame):
        features = _from_frame(records)
    else:
        features = _from_patients(records)
    _check_values(features)
    np.putmask(features, features == _NOT_MEASURED, np.nan)
    return features


def _from_patients(patients: Sequence[Patient]) -> npt.NDArray[np.float32]:
    if not isinstance(patients, Sequence) or isinstance(patients, str | bytes):
        raise TypeError(
            f"expected a sequence of Patient or a DataFrame, got {type(patients).__name__}"
        )
    for position, patient in enumerate(patients):
        if not isinstance(patient, Patient):
            raise TypeError(
                f"record {position}: expected a Patient, got {type(patient).__name__}; "
                "check a mapping with Patient.model_validate first"
            )
    values = chain.from_iterable(map(_VALUES_OF, patients))
    try:
        with np.errstate(over="ignore"):  # to an infinity, which is refused
            features = np.fromiter(values, np.float32, len(patients) * len(FEATURES))
    except _NOT_NUMBERS:
        # Not chained: numpy's error shows the value.
        raise TypeError("the records: expected numbers, got something that is none") from None
    return features.reshape(-1, len(FEATURES))


def _from_frame(frame: pd.DataFrame) -> npt.NDArray[np.float32]:
    _check_columns(frame)
    features = np.empty((len(frame), len(FEATURES)), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        column = frame[name]
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind not in _NUMBERS:
            raise TypeError(f"column {name!r}: expected numbers, got {kind} values")
        features[:, position] = _float32(column, name)
    return features


def _check_columns(frame: pd.DataFrame) -> None:
    names = list(frame.columns)
    faults = {
        "missing": [name for name in FEATURES if name not in names],
        "surplus": _shown([name for name in names if name not in FEATURES]),
        "twice": [name for name in FEATURES if names.count(name) > 1],
    }
    found = [f"{fault}: {names}" for fault, names in faults.items() if names]
    if found:
        raise ValueError(
            f"columns {'; '.join(found)}; expected exactly {list(FEATURES)}, in any order"
        )


def _shown(names: list[object]) -> list[str]:
    """Return what may be shown: without a header line, the names are a patient's values."""
    shown = [name for name in names if isinstance(name, str) and name.isidentifier()]
    hidden = len(names) - len(shown)
    return [*shown, f"{hidden} that are no names"] if hidden else shown


def _float32(column: "pd.Series[float]", name: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # to an infinity, which is refused
            return column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    except _NOT_NUMBERS:
        # Not chained: numpy's error shows the value.
        raise TypeError(f"column {name!r}: expected numbers, got something that is none") from None


def _check_values(features: npt.NDArray[np.float32]) -> None:
    # One look at all values, for one record at a time: fmax takes the number beside a nan.
    finite = np.isfinite(np.fmax(np.abs(features), _NOT_MEASURED))
    if np.count_nonzero(finite) == features.size:
        return
    name = FEATURES[int(finite.all(axis=0).argmin())]
    if np.isinf(features[:, FEATURES.index(name)]).any():
        raise ValueError(f"column {name!r}: expected finite numbers, got an infinity")
    raise ValueError(f"column {name!r}: got null; only {list(MEASUREMENTS)} may be missing")

"""From records to the array of features that the model sees."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mypreprocessing.patient import FEATURES, MEASUREMENTS, Patient

_VALUES_OF: Final = attrgetter(*FEATURES)
_MEASURED: Final = np.array([name in MEASUREMENTS for name in FEATURES])
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
        If an element of the sequence is not a `Patient`, or a column holds something other than
        numbers.
    ValueError
        If a column is missing, surplus or there twice, holds an infinity, or is null where no
        measurement is.

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
    features[(features == 0) & _MEASURED] = np.nan
    return features


def _from_patients(patients: Sequence[Patient]) -> npt.NDArray[np.float32]:
    for position, patient in enumerate(patients):
        if not isinstance(patient, Patient):
            raise TypeError(
                f"record {position}: expected a Patient, got {type(patient).__name__}; "
                "check a mapping with Patient.model_validate first"
            )
    values = [_VALUES_OF(patient) for patient in patients]
    return np.array(values, dtype=np.float32).reshape(-1, len(FEATURES))


def _from_frame(frame: pd.DataFrame) -> npt.NDArray[np.float32]:
    _check_columns(frame)
    features = np.empty((len(frame), len(FEATURES)), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        features[:, position] = _numbers(frame[name])
    return features


def _check_columns(frame: pd.DataFrame) -> None:
    names = list(frame.columns)
    faults = {
        "missing": [name for name in FEATURES if name not in names],
        "surplus": [name for name in names if name not in FEATURES],
        "twice": sorted({name for name in names if names.count(name) > 1}, key=str),
    }
    found = [f"{fault}: {names}" for fault, names in faults.items() if names]
    if found:
        raise ValueError(
            f"columns {'; '.join(found)}; expected exactly {list(FEATURES)}, in any order"
        )


def _numbers(column: "pd.Series[float]") -> npt.NDArray[np.float64]:
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind not in _NUMBERS:
        raise TypeError(f"column {column.name!r}: expected numbers, got {kind} values")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise ValueError(f"column {column.name!r}: expected finite numbers, got an infinity")
    if column.name not in MEASUREMENTS and np.isnan(values).any():
        raise ValueError(
            f"column {column.name!r}: got null; only {list(MEASUREMENTS)} may be missing"
        )
    return values

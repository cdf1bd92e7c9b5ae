"""From records to features: what a zero means, which column is which, what is refused."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from mypreprocessing import FEATURES, MEASUREMENTS, Patient, preprocess
from tests.records import record

Make = Callable[..., Sequence[Patient] | pd.DataFrame]

OTHERS = tuple(name for name in FEATURES if name not in MEASUREMENTS)


def frame(**changes: object) -> pd.DataFrame:
    return pd.DataFrame([record(**changes)])


def patients(**changes: object) -> list[Patient]:
    return [Patient.model_validate(record(**changes))]


BOTH = pytest.mark.parametrize(
    "make", [pytest.param(patients, id="patients"), pytest.param(frame, id="frame")]
)


@BOTH
def test_features_are_float32_in_the_order_of_the_names(make: Make) -> None:
    features = preprocess(make())
    assert features.dtype == np.float32
    np.testing.assert_array_equal(
        features, np.array([[0, 121, 66, 30, 165, 34.3, 0.203, 33]], dtype=np.float32)
    )


@BOTH
@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize("missing", [0, None])
def test_a_zero_or_null_measurement_is_missing(
    make: Make, name: str, missing: float | None
) -> None:
    features = preprocess(make(**{name: missing}))
    assert np.isnan(features[0]).tolist() == [feature == name for feature in FEATURES]


@BOTH
def test_zero_pregnancies_are_zero_pregnancies(make: Make) -> None:
    assert preprocess(make(pregnancies=0))[0, 0] == 0


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param([], id="list"),
        pytest.param((), id="tuple"),
        pytest.param(pd.DataFrame(columns=list(FEATURES)), id="frame of objects"),
        pytest.param(pd.DataFrame(columns=list(FEATURES), dtype=float), id="frame of floats"),
    ],
)
def test_no_records_give_no_rows_of_eight_columns(empty: Sequence[Patient] | pd.DataFrame) -> None:
    features = preprocess(empty)
    assert features.shape == (0, 8)
    assert features.dtype == np.float32


def test_patients_and_a_frame_of_the_same_rows_give_the_same_features() -> None:
    rows = [record(), record(insulin=None, bmi=0), record(glucose=200.5, age=60)]
    records = [Patient.model_validate(row) for row in rows]
    np.testing.assert_array_equal(preprocess(records), preprocess(pd.DataFrame(rows)))


def test_the_columns_of_a_frame_are_taken_by_name() -> None:
    straight = pd.DataFrame([record(), record(glucose=80)])
    np.testing.assert_array_equal(preprocess(straight[list(FEATURES)[::-1]]), preprocess(straight))


def test_a_frame_is_not_changed() -> None:
    given = pd.DataFrame([record(insulin=0), record(insulin=None)])
    before = given.copy(deep=True)
    preprocess(given)
    pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "Float64"])
def test_every_numeric_dtype_is_taken(
    dtype: Literal["int64", "float32", "Int64", "Float64"],
) -> None:
    whole = frame(bmi=34, diabetes_pedigree=1)
    np.testing.assert_array_equal(preprocess(whole.astype(dtype)), preprocess(whole))


def test_a_nullable_integer_column_has_its_missing_value_found() -> None:
    given = frame().assign(insulin=pd.array([None], dtype="Int64"))
    assert np.isnan(preprocess(given)[0, FEATURES.index("insulin")])


def test_missing_surplus_and_repeated_columns_are_named() -> None:
    wrong = frame().drop(columns=["bmi", "age"]).assign(weight=80)
    wrong = pd.concat([wrong, wrong[["glucose"]]], axis="columns")
    with pytest.raises(
        ValueError,
        match=r"missing: \['bmi', 'age'\]; surplus: \['weight'\]; twice: \['glucose'\]; "
        r"expected exactly \['pregnancies', .*'age'\], in any order",
    ):
        preprocess(wrong)


@pytest.mark.parametrize("name", OTHERS)
def test_a_frame_with_null_where_no_measurement_is_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"column '{name}': got null; only .* may be missing"):
        preprocess(frame(**{name: np.nan}))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_frame_with_an_infinity_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="column 'bmi': expected finite numbers, got an infinity"):
        preprocess(frame(bmi=value))


@pytest.mark.parametrize(
    ("value", "kind"), [("121", "string"), (True, "boolean"), (pd.Timestamp(0), "datetime64")]
)
def test_a_frame_of_something_other_than_numbers_is_refused(value: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"column 'glucose': expected numbers, got {kind}"):
        preprocess(frame(glucose=value))


@pytest.mark.parametrize("value", [10**400, Decimal("sNaN")])
def test_a_frame_of_numbers_that_no_float_holds_is_refused_without_them(value: object) -> None:
    with pytest.raises(TypeError, match="column 'glucose': expected numbers, got some") as error:
        preprocess(frame(glucose=value))
    assert error.value.__suppress_context__


def test_numbers_beyond_float32_are_refused() -> None:
    with pytest.raises(ValueError, match="column 'bmi': expected finite numbers, got an infinity"):
        preprocess(frame(bmi=1e39))


def test_column_names_that_are_values_are_counted_and_not_shown() -> None:
    """A CSV without a header, read by pandas: the names are the first patient."""
    headerless = pd.DataFrame([list(record().values())], columns=["6", "148", *"abcdef"])
    with pytest.raises(ValueError, match=r"surplus: \['a', .*'2 that are no names'\]") as error:
        preprocess(headerless)
    assert "148" not in str(error.value)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param((patient for patient in patients()), id="generator"),
        pytest.param(iter(patients()), id="iterator"),
        pytest.param({}, id="dict"),
        pytest.param("", id="text"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_sequence_is_refused_and_not_taken_for_an_empty_one(
    records: Sequence[Patient],
) -> None:
    with pytest.raises(TypeError, match="expected a sequence of Patient or a DataFrame, got "):
        preprocess(records)


@pytest.mark.parametrize("value", ["s3cret", [1], 10**400])
def test_an_unchecked_record_is_refused_without_its_value(value: object) -> None:
    unchecked = Patient.model_construct(**record(glucose=value))
    with pytest.raises(TypeError, match="the records: expected numbers, got something") as error:
        preprocess([unchecked])
    assert error.value.__suppress_context__


def test_an_unchecked_record_with_null_where_no_measurement_is_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'age': got null; only"):
        preprocess([Patient.model_construct(**record(age=None))])


def test_an_unchecked_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="record 1: expected a Patient, got dict; check a mapping"):
        preprocess([*patients(), record()])  # type: ignore[list-item] # the point of the test

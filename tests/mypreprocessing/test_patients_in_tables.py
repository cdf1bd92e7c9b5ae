"""A table of patients is held to the rules of `Patient`, no more and no fewer."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from pydantic import BaseModel

from mlflow_sealed.batch import rules
from mlflow_sealed.batch.rules import rules_of
from mypreprocessing import FEATURES, Patient, preprocess
from tests.mlflow_sealed.batch.alike import (
    NUMBERS,
    TEXTS,
    assert_alike,
    assert_alike_to_the_server,
    columns,
    plausible,
)
from tests.records import record


def assert_preprocessed_alike(accepted: tuple[pd.DataFrame, list[BaseModel]]) -> None:
    table, patients = accepted
    checked = [each for each in patients if isinstance(each, Patient)]
    np.testing.assert_array_equal(preprocess(table), preprocess(checked))


@settings(max_examples=150, deadline=None)
@given(plausible(Patient, record(), NUMBERS, float))
def test_patient_accepts_and_refuses_the_same_numbers(rows: list[dict[str, Any]]) -> None:
    assert_preprocessed_alike(assert_alike(Patient, columns(rows, pa.float64()), rows))


@settings(max_examples=150, deadline=None)
@given(plausible(Patient, record(), TEXTS, str))
def test_patient_accepts_and_refuses_the_same_texts(rows: list[dict[str, Any]]) -> None:
    found = assert_alike_to_the_server(Patient, columns(rows, pa.string()), rows)
    assert_preprocessed_alike(found)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16(), pa.float32()], ids=str)
def test_columns_may_be_of_any_type_of_number(kind: pa.DataType) -> None:
    rows = [
        dict.fromkeys(FEATURES, 30) | {"diabetes_pedigree": 1},
        dict.fromkeys(FEATURES, 3) | {"age": 121},
    ]
    assert_preprocessed_alike(assert_alike(Patient, columns(rows, kind), rows))


def test_nan_is_null_as_it_is_where_pandas_wrote_it() -> None:
    rows = [record(insulin=math.nan), record(diabetes_pedigree=math.nan)]
    checked = rules.check(columns(rows, pa.float64()), rules_of(Patient), Patient)
    assert checked.accepted.tolist() == [True, False]
    told = "Input should be a valid number, not null"
    assert checked.broken == [(1, "diabetes_pedigree", told)]


def test_no_broken_rule_has_a_value_in_it() -> None:
    rows = [dict.fromkeys(FEATURES, "sentinel-31337")]
    found = rules.check(columns(rows, pa.string()), rules_of(Patient), Patient).broken
    assert {each.field for each in found} == set(FEATURES)
    assert "31337" not in repr(found)

"""A table gets the same answer or error in every format, from Python and in a batch."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from mlflow_sealed.batch import rules
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from mlflow_sealed.server.protocol.number_spelling import MISSING
from mlflow_sealed.server.scoring import Scoring
from mypreprocessing import FEATURES, Patient
from tests.mlflow_sealed.batch.alike import edges
from tests.mlflow_sealed.server.running import save_diabetes_model
from tests.records import record

Row = dict[str, float | None]
RULES: Final = rules.rules_of(Patient)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    path: Path = tmp_path_factory.mktemp("scoring") / "model"
    save_diabetes_model(path)
    loaded: PyFuncModel = mlflow.pyfunc.load_model(str(path))
    return loaded


def cell(rule: rules.Rule) -> st.SearchStrategy[float | None]:
    """Numbers within the bounds and next to them, null, and fractions for whole numbers too."""
    return st.one_of(
        st.none(),
        st.sampled_from(edges(rule)),
        st.integers(int(rule.low), int(rule.high)).map(float),
        st.floats(rule.low, rule.high),
    )


def rows() -> st.SearchStrategy[list[Row]]:
    """Rows that are right but for two fields at most: more than twenty errors are not listed."""
    change = st.one_of([st.tuples(st.just(rule.name), cell(rule)) for rule in RULES])
    row = st.lists(change, max_size=2).map(lambda changed: record(**dict(changed)))
    return st.lists(row, min_size=1, max_size=5)


def spelt(value: float | None) -> st.SearchStrategy[str]:
    """Return the ways in which others write a number as text, or that there is none."""
    if value is None:
        return st.sampled_from(MISSING)
    ways = [repr(value), f"{value:.17g}", f"{value:.20f}", f"{value:.16e}", f"{value:.16E}"]
    if abs(value) < 1:
        ways.append(f"{value:.20f}".replace("0.", ".", 1))
    if value == int(value):
        ways.append(str(int(value)))
    return st.sampled_from([way for way in ways if float(way) == value])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_table_gets_the_same_answer_everywhere(model: PyFuncModel, data: st.DataObject) -> None:
    table = data.draw(rows())
    texts = [{name: data.draw(spelt(value)) for name, value in row.items()} for row in table]
    answers = {
        "numbers": answer(model, JSON, as_json(table)),
        "numbers, NaN": answer(model, JSON, as_json(with_nan(table))),
        "texts": answer(model, JSON, as_json(texts)),
        "split": answer(model, JSON, as_split(with_nan(table))),
        "split of texts": answer(model, JSON, as_split(texts)),
        "CSV": answer(model, CSV, as_csv(texts)),
        "Parquet": answer(model, PARQUET, as_parquet(table)),
        "Parquet of texts": answer(model, PARQUET, as_parquet(texts)),
    }
    expected = answers["numbers"]
    assert answers == dict.fromkeys(answers, expected)
    assert by_python(model, table) == (expected if isinstance(expected, list) else None)
    assert in_a_batch(table) == in_a_batch(texts) == broken(expected)


def test_control_both_answers_and_errors_are_compared(model: PyFuncModel) -> None:
    good, bad = (
        answer(model, JSON, as_json([record()])),
        answer(model, CSV, as_csv([record(age=1)])),
    )
    assert isinstance(good, list)
    assert bad == "0.age: must be at least 21"
    assert in_a_batch([record(age=1)]) == broken(bad) == {("0", "age")}
    assert by_python(model, [record(age=1)]) is None


def answer(model: PyFuncModel, media_type: str, body: bytes) -> Any:
    """Return the predictions, or the errors without the name of the format."""
    result = scoring(model).score(media_type, body)
    if result.status == 200:
        return json.loads(result.body)["predictions"]
    assert result.status == 400
    found = result.body.decode()
    return "; ".join(each.split(".", 1)[1] for each in found.split("; "))


def scoring(model: PyFuncModel) -> Scoring:
    found = _SCORINGS.get(id(model))
    if found is None:
        found = _SCORINGS[id(model)] = Scoring(model, max_rows=9)
    return found


_SCORINGS: Final[dict[int, Scoring]] = {}


def by_python(model: PyFuncModel, table: list[Row]) -> Any:
    """Return the predictions for a DataFrame with NaN, None if MLflow rejects it.

    MLflow takes no 33.0 for a whole number, so those are whole numbers here.
    """
    frame = pd.DataFrame(
        {name: [_exact(row[name]) for row in table] for name in FEATURES}, dtype=object
    )
    try:
        found: Any = model.predict(frame)
    except MlflowException:
        return None
    return [dict(each) for each in found]


def in_a_batch(table: list[Any]) -> set[tuple[str, str]]:
    """Return which rows and fields a batch rejects."""
    kind = pa.string() if isinstance(table[0]["age"], str) else pa.float64()
    columns = {name: pa.array([row[name] for row in table], kind) for name in FEATURES}
    return {(str(each.row), each.field) for each in rules.check(columns, RULES, Patient).broken}


def broken(expected: Any) -> set[tuple[str, str]]:
    """Return which rows and fields a request is rejected for."""
    if isinstance(expected, list):
        return set()
    places = [each.partition(":")[0] for each in expected.split("; ")]
    return {(row, name) for row, _, name in (place.partition(".") for place in places)}


def with_nan(table: list[Row]) -> list[Row]:
    return [{name: math.nan if v is None else v for name, v in row.items()} for row in table]


def as_json(table: list[Any]) -> bytes:
    return json.dumps({"inputs": table}).encode()


def as_split(table: list[Any]) -> bytes:
    data = [list(row.values()) for row in table]
    split = {"index": None, "columns": list(FEATURES), "data": data}
    return json.dumps({"dataframe_split": split}).encode()


def as_csv(table: list[Any]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, FEATURES)
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode()


def as_parquet(table: list[Any]) -> bytes:
    file = io.BytesIO()
    kind = pa.string() if isinstance(table[0]["age"], str) else pa.float64()
    columns = {name: pa.array([row[name] for row in table], kind) for name in FEATURES}
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _exact(value: float | None) -> float | None:
    return int(value) if value is not None and value == int(value) else value

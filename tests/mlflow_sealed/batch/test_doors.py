"""The same rows in every kind of input, as requests and in Python get the same answers."""

import csv
import gzip
import io
import json
import shutil
import tempfile
from collections import Counter
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sealed.batch import plan, score, storage
from mlflow_sealed.batch.model import RegisteredModel
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON
from mlflow_sealed.server.protocol.reader import Reader
from mypreprocessing import FEATURES, Patient
from tests.mlflow_sealed.batch.alike import NUMBERS, TEXTS, plausible
from tests.mlflow_sealed.batch.conftest import planned
from tests.records import record

TEXT_TYPES: Final = {
    "text": pa.string(),
    "large text": pa.large_string(),
    "view": pa.string_view(),
    "category": pa.dictionary(pa.int32(), pa.string()),
}
CSV_TYPES: Final = ("plain", "quoted", "gzip")
NUMBER_TYPES: Final = {"double": pa.float64(), "category": pa.dictionary(pa.int32(), pa.float64())}

INFINITE: Final = (float("inf"), float("-inf"))  # JSON has none

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(Patient, max_rows=1)


def by_requests(rows: Rows, reader: Reader, model: Any) -> tuple[dict[int, Any], Counter[str]]:
    """The answer to each row as a request of its own, and how often each field is refused."""
    answers: dict[int, Any] = {}
    refused: Counter[str] = Counter()
    for number, row in enumerate(rows):
        try:
            body = json.dumps({"inputs": [{name: row[name] for name in FEATURES}]}).encode()
            [answer] = model.predict(None, reader.read(JSON, body).rows)
        except RequestError as error:
            places = (each.split(":")[0] for each in str(error).split("; inputs."))
            refused.update({place.split(".")[-1] for place in places})
        else:
            answers[number] = (answer["pred"], answer["probability"])
    return answers, refused


def by_batch(
    name: str, content: bytes, model: RegisteredModel
) -> tuple[dict[int, Any], Counter[str]]:
    """The same of a file that is scored as a table."""
    folder = Path(tempfile.mkdtemp(prefix="doors-"))
    try:
        (folder / name).write_bytes(content)
        job = planned(folder / name, model)
        for each in (plan.SCORED, plan.REFUSED, plan.PARTS):
            (folder / "output" / each).mkdir(parents=True)
        scorer = score.scorer(str(model.folder), job.model_version)
        score.score_part(job, 0, storage.locate(str(folder / "output")), scorer)
        scored = pq.read_table(folder / "output" / plan.SCORED).to_pylist()
        refused = pq.read_table(folder / "output" / plan.REFUSED).to_pylist()
    finally:
        shutil.rmtree(folder)
    answers = {int(row["id"]): (row["pred"], row["probability"]) for row in scored}
    fields = {(row["row"], row["field"]) for row in refused}
    return answers, Counter(field for _, field in fields)


def parquet(rows: Rows, kind: pa.DataType) -> bytes:
    columns = {name: pa.array([row[name] for row in rows], kind) for name in FEATURES}
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(len(rows))), **columns}), sink)
    return sink.getvalue()


def comma_separated(rows: Rows, kind: str) -> bytes:
    text = io.StringIO(newline="")
    quoted, plain = csv.writer(text, quoting=csv.QUOTE_ALL), csv.writer(text)
    writer = quoted if kind == "quoted" else plain
    writer.writerow(["id", *FEATURES])
    for number, row in enumerate(rows):
        writer.writerow([number, *("" if row[name] is None else row[name] for name in FEATURES)])
    content = text.getvalue().encode()
    return gzip.compress(content) if kind == "gzip" else content


@cache
def model_of(champion: RegisteredModel) -> Any:
    return mlflow.pyfunc.load_model(str(champion.folder)).unwrap_python_model()


@settings(max_examples=20, deadline=None)
@given(rows=plausible(Patient, record(), TEXTS.filter(lambda it: '\\"' not in (it or "")), str))
def test_numbers_as_text_get_the_same_answers(
    rows: Rows, champion: RegisteredModel, reader: Reader
) -> None:
    rows = [{name: None if row[name] == "None" else row[name] for name in row} for row in rows]
    expected = by_requests(rows, reader, model_of(champion))
    for kind in TEXT_TYPES.values():
        assert by_batch("a.parquet", parquet(rows, kind), champion) == expected
    for form in CSV_TYPES:
        name = "a.csv.gz" if form == "gzip" else "a.CSV"
        assert by_batch(name, comma_separated(rows, form), champion) == expected


@settings(max_examples=20, deadline=None)
@given(rows=plausible(Patient, record(), NUMBERS.filter(lambda it: it not in INFINITE), float))
def test_numbers_get_the_same_answers(
    rows: Rows, champion: RegisteredModel, reader: Reader
) -> None:
    expected = by_requests(rows, reader, model_of(champion))
    for kind in NUMBER_TYPES.values():
        assert by_batch("a.parquet", parquet(rows, kind), champion) == expected


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.decimals(0, 100, places=1), min_size=1, max_size=5),
    st.sampled_from([pa.decimal128(5, 1), pa.decimal128(30, 4), pa.decimal256(50, 1)]),
)
def test_decimals_get_the_same_answers(
    champion: RegisteredModel, reader: Reader, sizes: list[Decimal], kind: pa.DataType
) -> None:
    base = {name: 0 if value is None else int(value) for name, value in record().items()}
    rows = [{**base, "bmi": float(size)} for size in sizes]
    expected = by_requests(rows, reader, model_of(champion))
    table = [{**row, "bmi": size} for row, size in zip(rows, sizes, strict=True)]
    assert by_batch("a.parquet", parquet(table, kind), champion) == expected

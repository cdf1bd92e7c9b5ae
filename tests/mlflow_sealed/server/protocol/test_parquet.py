"""Parquet is read as JSON is, at both doors: a slice of the matrix (`make matrix` has it all)."""

import datetime as dt
import faulthandler
import io
import itertools
import json
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arro3.io import write_parquet
from pydantic import BaseModel

from mlflow_sealed.batch import plan
from mlflow_sealed.batch.plan import InputError
from mlflow_sealed.server import arro3_compat
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON, PARQUET
from mlflow_sealed.server.protocol.parquet import UNREADABLE
from mlflow_sealed.server.protocol.reader import Reader
from tests.mlflow_sealed.server.protocol.both_doors import READERS, Number, Whole, assert_alike
from tests.mlflow_sealed.server.protocol.parquet_files import (
    FRAMES,
    KINDS,
    File,
    by_arrow,
    by_fastparquet,
    decimals_in_byte_arrays,
)

DAY: Final = dt.date(2020, 1, 2)
NOON: Final = dt.datetime(2020, 1, 2, 12)  # noqa: DTZ001 # as a column without a zone
REFUSED: Final[dict[str, tuple[pa.Array, str]]] = {
    "boolean": (pa.array([True, None]), "booleans"),
    "timestamp": (pa.array([NOON, None]), "timestamps"),
    "timestamp in nanoseconds": (pa.array([33, None], pa.timestamp("ns")), "timestamps"),
    "timestamp with a zone": (pa.array([33, None], pa.timestamp("ms", "UTC")), "timestamps"),
    "date": (pa.array([DAY, None]), "dates"),
    "date in milliseconds": (pa.array([DAY, None], pa.date64()), "dates"),
    "time": (pa.array([33, None], pa.time32("s")), "times of day"),
    "time in nanoseconds": (pa.array([33, None], pa.time64("ns")), "times of day"),
    "duration": (pa.array([33, None], pa.duration("s")), "durations"),
    "list": (pa.array([[33.0], None]), "nested values"),
    "struct": (pa.array([{"x": 33.0}, None]), "nested values"),
    "map": (pa.array([[("x", 33)], None], pa.map_(pa.string(), pa.int8())), "nested values"),
    "bytes": (pa.array([b"33", None]), "bytes"),
    "bytes of one length": (pa.array([b"33", None], pa.binary(2)), "bytes"),
    "dictionary of dates": (pa.array([DAY, None]).dictionary_encode(), "dates"),
}


def written(table: pa.Table, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    return file.getvalue()


def read(body: bytes, row: type[BaseModel] = Number) -> list[Any]:
    return [each.x for each in READERS[row].read(PARQUET, body).rows]


def refusal(body: bytes, row: type[BaseModel] = Number) -> str:
    with pytest.raises(RequestError) as caught:
        READERS[row].read(PARQUET, body)
    return f"{caught.value.status} {caught.value}"


def broken_pages() -> bytes:
    body = written(pa.table({"x": [1.5] * 99}), compression="gzip")
    return body[:4] + b"\xff" * 60 + body[64:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", ["pyarrow", "arro3"])
def test_every_type_and_encoding_is_read(
    writer: Literal["pyarrow", "arro3"], kind: str, tmp_path: Path
) -> None:
    for file in by_arrow(writer, kind):
        assert_alike(file, tmp_path)


@pytest.mark.parametrize("kind", FRAMES)
def test_what_fastparquet_writes_is_read(kind: str, tmp_path: Path) -> None:
    for file in by_fastparquet(kind):
        assert_alike(file, tmp_path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("is_dictionary", [False, True])
def test_text_is_read_by_the_rule_of_json(
    kind: pa.DataType, tmp_path: Path, *, is_dictionary: bool
) -> None:
    for values in (["121", "-0.5", ".5", "5e-05", "NA", "NaN", "null", ".", ""], ["33", "33.0"]):
        texts = pa.array([*values, None], kind)
        if is_dictionary and kind != pa.string_view():
            texts = texts.dictionary_encode()
        body = written(pa.table({"x": texts}))
        assert_alike(File(str(kind), body, [*values, None]), tmp_path)


def test_decimals_of_any_length_are_read(tmp_path: Path) -> None:
    assert_alike(decimals_in_byte_arrays(), tmp_path)


def test_the_lz4_of_hadoop_is_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    write_parquet(pa.table({"x": [0, 0, 168] * 50}), file, compression="lz4")
    assert_alike(File("LZ4", file.getvalue(), [0, 0, 168] * 50), tmp_path)


def test_a_number_that_is_read_wrongly_would_be_noticed(tmp_path: Path) -> None:
    body = written(pa.table({"x": [0, 0, 168]}))
    with pytest.raises(AssertionError, match="server: other"):
        assert_alike(File("other", body, [0, 168, 0]), tmp_path)


@pytest.mark.parametrize(("values", "holds"), REFUSED.values(), ids=REFUSED)
def test_what_holds_no_numbers_is_refused_by_its_type_at_both_doors(
    values: pa.Array, holds: str, tmp_path: Path
) -> None:
    """A date or a duration of 33 days would be in range for an age."""
    body = written(pa.table({"x": values}))
    said = f"column 'x' holds {holds}; expected numbers, or numbers as text: convert it first"
    assert refusal(body, Whole) == f"400 parquet: {said}"
    (tmp_path / "a.parquet").write_bytes(body)
    with pytest.raises(InputError, match=f"a.parquet: {re.escape(said)}$"):
        plan.make(str(tmp_path / "a.parquet"), plan.Model("models:/x/1", "", ("x",), ("x",)))


def test_a_timestamp_of_spark_and_impala_is_refused() -> None:
    times = pa.table({"x": pa.array([NOON])})
    assert "holds timestamps" in refusal(written(times, use_deprecated_int96_timestamps=True))


def test_every_column_that_is_refused_is_named() -> None:
    class Two(BaseModel):
        age: int
        size: float

    body = written(pa.table({"size": [True], "age": pa.array([DAY])}))
    with pytest.raises(RequestError) as caught:
        Reader(Two, max_rows=9).read(PARQUET, body)
    assert str(caught.value) == (
        "parquet: column 'size' holds booleans, column 'age' holds dates; "
        "expected numbers, or numbers as text: convert them first"
    )


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("row", [Number, Whole])
def test_nan_is_null(kind: pa.DataType, row: type[BaseModel]) -> None:
    body = written(pa.table({"x": pa.array([np.float16("nan"), np.float16(1), None], kind)}))
    assert read(body, row) == [None, 1, None]


def test_nan_is_told_like_null_where_null_is_refused() -> None:
    class Required(BaseModel):
        x: float

    reader = Reader(Required, max_rows=9)
    said = []
    for kind, body in (
        (JSON, json.dumps({"inputs": [{"x": None}]}).encode()),
        (PARQUET, written(pa.table({"x": [float("nan")]}))),
        (PARQUET, written(pa.table({"x": pa.array([None], pa.float64())}))),
    ):
        with pytest.raises(RequestError) as caught:
            reader.read(kind, body)
        said.append(str(caught.value).partition(".")[2])
    assert len(set(said)) == 1


@pytest.mark.parametrize("name", ["id", None])
def test_an_index_of_pandas_is_not_a_column(name: str | None) -> None:
    index = pd.date_range("2020", periods=2).rename(name)
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=index)
    assert read(frame.to_parquet()) == [1, 2]


def test_an_index_of_pandas_that_is_a_field_is_one() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0]}, index=pd.Index([3.0, 4.0], name="x"))
    assert read(frame[[]].to_parquet()) == [3, 4]
    assert refusal(frame.to_parquet()).endswith("1 that are not known; expected ['x']")


def test_rows_without_a_column_are_rows() -> None:
    frame = pd.DataFrame(index=pd.Index([3.0, 4.0], name="id"))
    assert refusal(frame.to_parquet()) == "400 parquet.0.x: is missing; parquet.1.x: is missing"


def test_a_column_twice_is_refused() -> None:
    twice = pa.table([[1.0], [2.0]], names=["x", "x"])
    assert refusal(written(twice)) == "400 parquet: columns twice ['x']; expected ['x']"


def test_no_more_rows_are_read_than_are_allowed() -> None:
    """Whatever the footer says: they are counted while they are read."""
    body = written(pa.table({"x": np.zeros(2_000_000)}), compression="zstd")
    assert refusal(body).startswith("413 the request has more than 10000 rows")


def mutations(good: bytes, count: int, chosen: random.Random) -> Iterator[bytes]:
    """Yield copies with some bytes changed, or cut off; as often in the footer as elsewhere."""
    for _ in range(count):
        changed = bytearray(good)
        footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
        for _ in range(chosen.choice((1, 1, 2, 5, 20))):
            place = chosen.choice((0, footer))
            changed[chosen.randrange(place, len(good))] = chosen.choice((0, 127, 128, 255))
        if chosen.random() < 0.1:
            del changed[chosen.randrange(len(changed)) :]
        yield bytes(changed)


def outcomes(bodies: Sequence[bytes], said: Path) -> list[str]:
    """Read bodies in processes that print to a file: a status each, or the signal that ended it."""
    found: list[str] = []
    with said.open("wb") as printed:
        while len(found) < len(bodies):
            ours, theirs = os.pipe()
            pid = os.fork()
            if pid == 0:
                _report(bodies[len(found) :], theirs, printed.fileno())
            os.close(theirs)
            with os.fdopen(ours, "rb") as reported:
                found += [str(100 * status) for status in reported.read()]
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                found.append(signal.Signals(os.WTERMSIG(status)).name)
    return found


def _report(bodies: Sequence[bytes], report: int, said: int) -> NoReturn:
    faulthandler.disable()  # pytest's, which would print
    os.dup2(said, 1)
    os.dup2(said, 2)
    try:
        for body in bodies:
            status = 200
            try:
                READERS[Number].read(PARQUET, body)
            except RequestError as error:
                status = 400 if error.status == 413 else error.status  # of one class
            os.write(report, bytes([status // 100]))
    finally:
        os._exit(0)


def test_what_is_broken_is_refused_in_silence(tmp_path: Path) -> None:
    """arrow-rs prints what it panics over; SIGABRT is a panic where it cannot be caught."""
    os.environ.update(arro3_compat.ENVIRON)
    chosen = random.SystemRandom()  # others in each run
    good = [
        file.body
        for kind in ("int64", "float", "text", "decimal in bytes")
        for file in itertools.islice(by_arrow("pyarrow", kind), 0, None, 7)
    ]
    bodies = [body for each in good for body in mutations(each, 100, chosen)]
    ends = Counter(outcomes(bodies, tmp_path / "said"))
    assert set(ends) <= {"200", "400", "SIGABRT", "SIGVTALRM"}
    assert ends["400"] > sum(ends.values()) / 2
    assert ends["SIGABRT"] + ends["SIGVTALRM"] < sum(ends.values()) / 20
    assert (tmp_path / "said").read_bytes() == b""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(written(pa.table({"x": [1]}))[:-1], id="cut off"),
        pytest.param(b'{"inputs": []}', id="JSON"),
    ],
)
def test_what_is_no_parquet_is_refused_in_silence(
    body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refusal(body) == "400 the body is not Parquet, or it is cut off"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"PAR1", id="four bytes"),
        pytest.param(b"PAR1" + b"\xff" * 100 + b"PAR1", id="no footer"),
        pytest.param(b"PAR1\xff\xff\xff\x7fPAR1", id="a footer of 2 GB"),
        pytest.param(written(pa.table({"x": [1]}))[:-1] + b"E", id="a footer that is encrypted"),
        pytest.param(broken_pages(), id="broken pages"),
    ],
)
def test_parquet_that_cannot_be_read_is_refused_in_silence(
    body: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refusal(body) == f"400 {UNREADABLE}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("hint", [True, False], ids=["to a dictionary", "to text"])
def test_a_file_that_unpacks_to_too_much_is_refused_or_ends_its_process(
    tmp_path: Path, *, hint: bool
) -> None:
    texts = pa.DictionaryArray.from_arrays(np.zeros(10_000, np.int32), ["9" * 60_000])
    body = written(pa.table({"x": texts}), compression="zstd", store_schema=hint)
    assert len(body) < 10_000
    [end] = outcomes([body], tmp_path / "said")
    assert end in {"400", "SIGABRT"}
    assert (tmp_path / "said").read_bytes() == b""

"""Parquet in every type that holds a number, encoding, page version and codec, by four writers."""

import io
import itertools
import random
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import fastparquet
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from arro3.io import write_parquet

DICTIONARY: Final = "dictionary"
DELTA: Final = "DELTA_BINARY_PACKED"
SPLIT: Final = "BYTE_STREAM_SPLIT"
BYTES: Final = ("PLAIN", DICTIONARY, "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")
PAGES: Final = ("1.0", "2.0")
NULLS: Final = ("required", "no null", "some null", "all null")
CODECS: Final = ("none", "snappy", "gzip", "zstd", "brotli", "lz4_raw")
ARRO3_CODECS: Final = {
    "none": "uncompressed",
    "gzip": "gzip(6)",
    "zstd": "zstd(1)",
    "brotli": "brotli(1)",
}


class Kind(NamedTuple):
    """A type of columns, and the encodings that it may have."""

    type: pa.DataType
    encodings: tuple[str, ...]


KINDS: Final[dict[str, Kind]] = {
    **{
        name: Kind(getattr(pa, name)(), ("PLAIN", DICTIONARY, DELTA, SPLIT))
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "float16": Kind(pa.float16(), ("PLAIN", DICTIONARY, SPLIT)),
    "float": Kind(pa.float32(), ("PLAIN", DICTIONARY, SPLIT)),
    "double": Kind(pa.float64(), ("PLAIN", DICTIONARY, SPLIT)),
    "decimal in INT32": Kind(pa.decimal128(5, 1), ("PLAIN", DICTIONARY, DELTA, SPLIT)),
    "decimal in INT64": Kind(pa.decimal128(12, 1), ("PLAIN", DICTIONARY, DELTA, SPLIT)),
    "decimal in bytes": Kind(
        pa.decimal128(30, 1), ("PLAIN", DICTIONARY, "DELTA_BYTE_ARRAY", SPLIT)
    ),
    "whole decimal": Kind(pa.decimal128(20, 0), ("PLAIN", DICTIONARY)),
    "text": Kind(pa.string(), BYTES),
    "large text": Kind(pa.large_string(), BYTES),
    "text view": Kind(pa.string_view(), BYTES),
    "dictionary of text": Kind(pa.dictionary(pa.int32(), pa.string()), ("PLAIN", DICTIONARY)),
    "dictionary of numbers": Kind(pa.dictionary(pa.int32(), pa.int64()), ("PLAIN", DICTIONARY)),
    "nothing": Kind(pa.null(), ("PLAIN",)),
}
SHAPES: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "one row": (1, {}),
    "few rows": (9, {}),
    "row groups": (300, {"group_rows": 130}),
    "small pages": (130, {"page_bytes": 64, "batch_rows": 16}),
    "pages of one row": (5, {"page_bytes": 1, "batch_rows": 1}),
}


class File(NamedTuple):
    """A file with one column, x, and what JSON has for its values."""

    name: str
    body: bytes
    values: list[Any]


def numbers(kind: str, rows: int, nulls: str) -> list[Any]:
    """Draw numbers of a kind, from its whole range; the same ones each time."""
    chosen = random.Random(f"{kind} {rows} {nulls}")  # noqa: S311 # the same ones in each run
    missing = {"some null": 0.4, "all null": 1.0}.get(nulls, 0.0)
    drawn = [_number(kind, chosen) for _ in range(rows)]
    return [None if kind == "nothing" or chosen.random() < missing else value for value in drawn]


def _number(kind: str, chosen: random.Random) -> Any:
    if "int" in kind.lower() and "decimal" not in kind:
        bits = int(kind.lstrip("uint"))
        low, high = (
            (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        )
        small = chosen.randrange(120)
        return chosen.choice([small, small, 0, low, high, chosen.randint(low, high)])
    tenths = chosen.randrange(2000)
    if kind == "whole decimal":
        return Decimal(tenths)
    if "decimal" in kind:
        return Decimal(tenths) / 10
    if "text" in kind:
        return str(tenths / 10)
    return tenths if kind == "dictionary of numbers" else tenths / 10


def as_json(value: Any, kind: str) -> Any:
    """Return what JSON has for a value of a kind."""
    if kind in {"float16", "float"} and value is not None:
        return float(np.float16(value) if kind == "float16" else np.float32(value))
    if isinstance(value, Decimal):
        return int(value) if kind == "whole decimal" else float(value)
    return value


def by_arrow(
    writer: Literal["pyarrow", "arro3"], kind: str, *, whole: bool = False
) -> Iterator[File]:
    """Yield the files of a kind by pyarrow or arro3.

    Unless all of them are wanted, shapes and codecs take turns.
    """
    shapes, codecs = itertools.cycle(SHAPES), itertools.cycle(CODECS)
    choices = itertools.product(
        KINDS[kind].encodings,
        PAGES,
        ("all null",) if kind == "nothing" else NULLS,
        itertools.product(SHAPES, CODECS) if whole else ((None, None),),
    )
    for encoding, page, nulls, (shape, codec) in choices:
        shape, codec = shape or next(shapes), codec or next(codecs)  # noqa: PLW2901 # its turn
        rows, limits = SHAPES[shape]
        values = numbers(kind, rows, nulls)
        how = {"encoding": encoding, "page": page, "codec": codec, **limits}
        body = _written(writer, _table(kind, values, nulls), **how)
        name = f"{writer}, {kind}, {encoding}, pages {page}, {nulls}, {shape}, {codec}"
        yield File(name, body, [as_json(value, kind) for value in values])


def _table(kind: str, values: list[Any], nulls: str) -> pa.Table:
    array = (
        pa.array([None if v is None else np.float16(v) for v in values], pa.float16())
        if kind == "float16"
        else pa.array(values, KINDS[kind].type)
    )
    field = pa.field("x", array.type, nullable=nulls != "required")
    return pa.table([array], schema=pa.schema([field]))


def _written(writer: str, table: pa.Table, **how: Any) -> bytes:
    file = io.BytesIO()
    (_pyarrow if writer == "pyarrow" else _arro3)(table, file, **how)
    return file.getvalue()


def _pyarrow(table: pa.Table, file: io.BytesIO, **how: Any) -> None:
    is_dictionary = how["encoding"] == DICTIONARY
    pq.write_table(
        table,
        file,
        use_dictionary=is_dictionary,
        column_encoding=None if is_dictionary else {"x": how["encoding"]},
        data_page_version=how["page"],
        compression=how["codec"].removesuffix("_raw"),  # its lz4 is LZ4_RAW
        row_group_size=how.get("group_rows"),
        data_page_size=how.get("page_bytes"),
        write_batch_size=how.get("batch_rows"),
        store_decimal_as_integer=True,
    )


def _arro3(table: pa.Table, file: io.BytesIO, **how: Any) -> None:
    is_dictionary = how["encoding"] == DICTIONARY
    write_parquet(
        table,
        file,
        dictionary_enabled=is_dictionary,
        encoding=None if is_dictionary else how["encoding"].lower(),
        writer_version="parquet_1_0" if how["page"] == "1.0" else "parquet_2_0",
        compression=ARRO3_CODECS.get(how["codec"], how["codec"]),
        max_row_group_size=how.get("group_rows"),
        data_page_size_limit=how.get("page_bytes"),
        write_batch_size=how.get("batch_rows"),
    )


FRAMES: Final[dict[str, str]] = {
    **{name: name for name in ("int8", "int32", "int64", "uint8", "uint32")},
    "float": "float32",
    "double": "float64",
    "text": "object",
    "nullable": "Int64",
    "category": "category",
}
"""The types of pandas that fastparquet writes."""


def by_fastparquet(kind: str, *, whole: bool = False) -> Iterator[File]:
    """Yield the files of a type of pandas by fastparquet; as `by_arrow`."""
    drawn = {"text": "text", "nullable": "int32", "category": "text"}.get(kind, kind)
    shapes, codecs = itertools.cycle(SHAPES), itertools.cycle(CODECS)
    may_miss = kind in {"float", "double", "text", "nullable", "category"}
    choices = itertools.product(
        ("no null", "some null") if may_miss else ("no null",),
        (1, 2),
        itertools.product(SHAPES, CODECS) if whole else ((None, None),) * 3,
    )
    for nulls, version, (shape, codec) in choices:
        shape, codec = shape or next(shapes), codec or next(codecs)  # noqa: PLW2901 # its turn
        rows, limits = SHAPES[shape]
        values = numbers(drawn, rows, nulls)
        frame = pd.DataFrame({"x": pd.Series(values, dtype=FRAMES[kind])})
        how = {"compression": codec.upper(), "row_group_offsets": limits.get("group_rows", 10_000)}
        name = f"fastparquet, {kind}, pages {version}, {nulls}, {shape}, {codec}"
        yield File(name, _fastparquet(frame, version, **how), [as_json(v, kind) for v in values])


def _fastparquet(frame: pd.DataFrame, version: int, **how: Any) -> bytes:
    fastparquet.writer.DATAPAGE_VERSION = version
    if how["compression"] == "NONE":
        how["compression"] = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        fastparquet.write(str(path), frame, object_encoding="utf8", write_index=False, **how)
        return path.read_bytes()


def decimals_in_byte_arrays() -> File:
    """Return decimals of a length of their own, as Hive and Avro write them."""
    values = [Decimal(each) / 10 for each in (336, 10, -5, 2**70, 0)]
    raw = [_big_endian(int(value * 10)) for value in values]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        frame = pd.DataFrame({"x": pd.Series(raw, dtype=object)})
        fastparquet.write(str(path), frame, object_encoding="bytes", write_index=False, stats=False)
        body, footer = path.read_bytes(), fastparquet.ParquetFile(str(path)).fmd
    column = footer.schema[1]
    column.converted_type, column.scale, column.precision = 5, 1, 30  # DECIMAL
    kept = body[: -8 - int.from_bytes(body[-8:-4], "little")]
    written = bytes(footer.to_bytes())
    body = kept + written + len(written).to_bytes(4, "little") + b"PAR1"
    return File("decimals in BYTE_ARRAY", body, [float(value) for value in values])


def _big_endian(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


SPARK: Final[dict[str, str]] = {
    "tinyint": "int8",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "float": "float",
    "double": "double",
    "string": "text",
    "decimal(5,1)": "decimal in INT32",
    "decimal(12,1)": "decimal in INT64",
    "decimal(30,1)": "decimal in bytes",
    "decimal(20,0)": "whole decimal",
}
"""The kinds of numbers that Spark's types hold."""


def by_spark(session: Any, kind: str, folder: Path) -> Iterator[File]:
    """Yield the files of a type of Spark: decimals also as Hive reads them."""
    choices = itertools.product(
        ("no null", "some null"),
        ("v1", "v2"),
        ("none", "snappy", "gzip", "zstd", "lz4_raw"),
        ("false", "true") if kind.startswith("decimal") else ("false",),
    )
    for nulls, version, codec, legacy in choices:
        values = numbers(SPARK[kind], 130, nulls)
        session.conf.set("spark.sql.parquet.writeLegacyFormat", legacy)
        frame = session.createDataFrame([(value,) for value in values], f"x {kind}").coalesce(1)
        path = folder / f"{nulls}-{version}-{codec}-{legacy}".replace(" ", "-")
        options = {"parquet.writer.version": version, "compression": codec}
        frame.write.options(**options).parquet(str(path))
        [body] = [found.read_bytes() for found in path.glob("*.parquet")]
        name = f"Spark, {kind}, {version}, {nulls}, {codec}, legacy {legacy}"
        yield File(name, body, [as_json(value, SPARK[kind]) for value in values])

"""What the server uses of fastparquet that is not part of its public interface.

tests/mlflow_sealed/server/test_fastparquet_compat.py fails when fastparquet changes it. fastparquet
is imported in functions: it takes 40 MB of memory, for those who send Parquet.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

_UNCOMPRESSED: Final = 0


class Chunk(NamedTuple):
    """What the footer of a Parquet file says about a column in one row group.

    Attributes
    ----------
    type
        Parquet's physical type: "INT32", "BOOLEAN", …
    encodings
        The names of the encodings.
    is_compressed
        Whether it is compressed.
    size
        How many values it has.
    nulls
        How many of them are null, None if the file does not say.
    least, most
        The least and greatest value as bytes, None if the file does not say.
    """

    type: str
    encodings: frozenset[str]
    is_compressed: bool
    size: int
    nulls: int | None
    least: bytes | None
    most: bytes | None


def chunks(file: Any, names: Iterable[str]) -> dict[str, list[Chunk]]:
    """Return the chunks of some columns of a `fastparquet.ParquetFile`."""
    found: dict[str, list[Chunk]] = {name: [] for name in names}
    for group in file.row_groups:
        for column in group.columns:
            name = column.meta_data.path_in_schema[0]
            if name in found:
                found[name].append(_chunk(column.meta_data))
    return found


def columns_without_index(file: Any, fields: Iterable[str]) -> list[str]:
    """Return a file's columns, without those that pandas wrote its index to.

    A column that is one of the fields counts even if pandas calls it an index.
    """
    index = (file.pandas_metadata or {}).get("index_columns", [])
    return [name for name in file.columns if name in fields or name not in index]


def is_own(file: Any) -> bool:
    """Return whether fastparquet wrote the file."""
    return bool(file.selfmade)


def stored_dtype(file: Any, name: str) -> Any:
    """Return the numpy type of a column by Parquet's schema, whatever pandas' metadata calls it."""
    from fastparquet.converted_types import typemap  # noqa: PLC0415 # see above

    return typemap(file.schema.schema_element([name]))


def _chunk(metadata: Any) -> Chunk:
    from fastparquet.parquet_thrift import Encoding, Type  # noqa: PLC0415 # see above

    statistics = metadata.statistics
    encodings = _names(Encoding)
    return Chunk(
        type=_names(Type).get(metadata.type, "unknown"),
        encodings=frozenset(
            encodings.get(number, "an unknown encoding") for number in metadata.encodings
        ),
        is_compressed=metadata.codec != _UNCOMPRESSED,
        size=metadata.num_values,
        nulls=None if statistics is None else statistics.null_count,
        least=None if statistics is None else statistics.min_value,
        most=None if statistics is None else statistics.max_value,
    )


def _names(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if name[0] != "_"}

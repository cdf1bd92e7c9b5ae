"""Which columns of a Parquet file fastparquet reads as other numbers, without an error.

Found by reading what pyarrow, pandas and arrow-rs write, in every type, encoding and page version
that holds a number, with fastparquet 2026.9.0 (see findings/fastparquet-silent-misreads.sh):

- DELTA_BINARY_PACKED: INT64 in version 2 pages, and any difference of 29 bits or more.
- RLE as the encoding of booleans, in version 1 pages.
- Whole numbers and booleans with a null that has a version 2 page to itself: all rows become null.
- 32 bits that pandas' metadata calls Int64, with DELTA_BINARY_PACKED in version 2 pages.
- A pandas category in version 2 pages, or in several row groups whose dictionaries differ.

The first two are refused: a footer does not say which version its pages have (pyarrow's says 1 of
both). The others are read rightly into another type than fastparquet's own choice.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_DICTIONARIES: Final = frozenset({"PLAIN_DICTIONARY", "RLE_DICTIONARY"})
_READ_RIGHTLY: Final = _DICTIONARIES | {"PLAIN", "RLE", "BIT_PACKED"}  # the latter two: of levels
_DELTA: Final = "DELTA_BINARY_PACKED"
_RANGE: Final = 2**27  # of numbers whose differences, less the least of them, have at most 28 bits


class Column(NamedTuple):
    """A column of a Parquet file.

    Attributes
    ----------
    name
        Its name.
    dtype
        The type to read it as.
    misread
        The encoding that fastparquet does not read, or not rightly; None if there is none.
    """

    name: str
    dtype: Any
    misread: str | None


def columns(file: Any, names: Sequence[str]) -> list[Column]:
    """Return what the footer says about columns.

    Parameters
    ----------
    file
        A `fastparquet.ParquetFile`.
    names
        The names of the columns.
    """
    chunks: dict[str, list[Any]] = {name: [] for name in names}
    for group in file.row_groups:
        for chunk in group.columns:
            name = chunk.meta_data.path_in_schema[0]
            if name in chunks:
                chunks[name].append(chunk.meta_data)
    return [_column(file, name, found) for name, found in chunks.items()]


def _column(file: Any, name: str, chunks: Sequence[Any]) -> Column:
    dtype = _dtype(file, name, chunks)
    misread = (encoding for chunk in chunks for encoding in _misread(chunk, dtype))
    return Column(name, dtype, next(misread, None))


def _dtype(file: Any, name: str, chunks: Sequence[Any]) -> Any:
    """Return the type to read a column as: fastparquet's own choice where that is read rightly."""
    import numpy as np  # noqa: PLC0415 # see parquet.read
    from fastparquet.converted_types import typemap  # noqa: PLC0415 # likewise

    dtype = file.dtypes[name]
    if str(dtype) == "category":  # its own files may say null with a code of -1
        return dtype if file.selfmade else np.dtype(object)
    if getattr(dtype, "kind", "") not in {"i", "u", "b"}:
        return dtype
    if all(chunk.statistics is not None and chunk.statistics.null_count == 0 for chunk in chunks):
        return typemap(file.schema.schema_element([name]))  # whatever pandas' metadata calls it
    return np.dtype(object)


def _misread(chunk: Any, dtype: Any) -> Iterator[str]:
    """Give the encodings of a column in one row group that are not read rightly."""
    from fastparquet.parquet_thrift import Encoding, Type  # noqa: PLC0415 # see parquet.read

    names = {number: name for name, number in vars(Encoding).items() if name[0] != "_"}
    encodings = {names.get(number, "an unknown encoding") for number in chunk.encodings}
    for encoding in sorted(encodings):
        if encoding in _DICTIONARIES and _is_empty(chunk):
            yield f"an empty {encoding}"
        elif encoding == _DELTA and chunk.type == Type.INT32 and dtype.kind in {"i", "u", "f"}:
            if not _is_narrow(chunk.statistics):
                yield encoding
        elif encoding not in _READ_RIGHTLY:
            yield encoding
    if chunk.type == Type.BOOLEAN and "PLAIN" not in encodings:
        yield "RLE"


def _is_empty(chunk: Any) -> bool:
    """Return whether a dictionary has no byte: fastparquet takes what follows it for its own."""
    nulls = chunk.statistics.null_count if chunk.statistics is not None else None
    return bool(chunk.codec == 0 and nulls == chunk.num_values)  # 0: not compressed


def _is_narrow(statistics: Any) -> bool:
    """Return whether INT32 numbers are certainly so close that their differences are read."""
    if statistics is None or statistics.null_count != 0:
        return False
    ends = (statistics.min_value, statistics.max_value)
    if None in ends:
        return False
    least, most = (int.from_bytes(end, "little", signed=True) for end in ends)
    return 0 <= most - least < _RANGE

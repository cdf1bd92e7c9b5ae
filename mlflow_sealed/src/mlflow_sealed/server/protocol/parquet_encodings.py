"""Which columns of a Parquet file fastparquet reads as other numbers, without an error.

Found by reading what pyarrow, pandas and arrow-rs write, in every type, encoding and page version
that holds a number, with fastparquet 2026.9.0 (see findings/fastparquet-silent-misreads.sh):

- DELTA_BINARY_PACKED: INT64 in version 2 pages, and any difference of 29 bits or more.
- RLE as the encoding of booleans, in version 1 pages.
- Whole numbers and booleans with a null that has a version 2 page to itself: all rows become null.
- 32 bits that pandas' metadata calls Int64, with DELTA_BINARY_PACKED in version 2 pages.
- A pandas category in version 2 pages, or in several row groups whose dictionaries differ.

The first two are rejected: a footer does not say which version its pages have (pyarrow's says 1 for
both). The others are read correctly into another type than fastparquet's own choice.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from mlflow_sealed.server import fastparquet_compat
from mlflow_sealed.server.fastparquet_compat import Chunk

_DICTIONARIES: Final = frozenset({"PLAIN_DICTIONARY", "RLE_DICTIONARY"})
_READ_CORRECTLY: Final = _DICTIONARIES | {"PLAIN", "RLE", "BIT_PACKED"}  # the last two: of levels
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
        The encoding that fastparquet cannot read, or reads wrongly; None if there is none.
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
    found = fastparquet_compat.chunks(file, names)
    return [_column(file, name, chunks) for name, chunks in found.items()]


def _column(file: Any, name: str, chunks: Sequence[Chunk]) -> Column:
    dtype = _dtype(file, name, chunks)
    misread = (encoding for chunk in chunks for encoding in _misread(chunk, dtype))
    return Column(name, dtype, next(misread, None))


def _dtype(file: Any, name: str, chunks: Sequence[Chunk]) -> Any:
    """Return the type to read a column as: fastparquet's own choice if that is read correctly."""
    import numpy as np  # noqa: PLC0415 # see parquet.read

    dtype = file.dtypes[name]
    if str(dtype) == "category":  # fastparquet's own files may store null as a code of -1
        return dtype if fastparquet_compat.is_own(file) else np.dtype(object)
    if getattr(dtype, "kind", "") not in {"i", "u", "b"}:
        return dtype
    if all(chunk.nulls == 0 for chunk in chunks):
        return fastparquet_compat.stored_dtype(file, name)
    return np.dtype(object)


def _misread(chunk: Chunk, dtype: Any) -> Iterator[str]:
    """Yield the encodings of a column in one row group that are not read correctly."""
    for encoding in sorted(chunk.encodings):
        if encoding in _DICTIONARIES and _is_empty(chunk):
            yield f"an empty {encoding}"
        elif encoding == _DELTA and chunk.type == "INT32" and dtype.kind in {"i", "u", "f"}:
            if not _is_narrow(chunk):
                yield encoding
        elif encoding not in _READ_CORRECTLY:
            yield encoding
    if chunk.type == "BOOLEAN" and "PLAIN" not in chunk.encodings:
        yield "RLE"


def _is_empty(chunk: Chunk) -> bool:
    """Return whether a dictionary has no byte: fastparquet would read what follows it instead."""
    return not chunk.is_compressed and chunk.nulls == chunk.size


def _is_narrow(chunk: Chunk) -> bool:
    """Return whether INT32 numbers are so close that all their differences are read correctly."""
    if chunk.nulls != 0 or chunk.least is None or chunk.most is None:
        return False
    least, most = (int.from_bytes(end, "little", signed=True) for end in (chunk.least, chunk.most))
    return 0 <= most - least < _RANGE

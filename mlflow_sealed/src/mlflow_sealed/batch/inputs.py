"""Find the files of an input, and what each of them is: Parquet, or CSV, packed or not.

The folders of a Hive table (``site=north``) have columns in their names. Executors import this
module, so it imports installed distributions only.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from mlflow_sealed.batch import storage
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.server.protocol import number_spelling

Format = Literal["parquet", "csv"]

_KINDS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
PACKED: Final = tuple(_KINDS)
"""What the name of a packed CSV file ends with; Arrow unpacks it while it is read."""

ENDINGS: Final[dict[Format, tuple[str, ...]]] = {
    "parquet": (".parquet", ".parq", ".pq"),
    "csv": (".csv", *(f".csv{end}" for end in PACKED)),
}
"""What a file's name ends with, in upper or lower case."""

_MAGIC: Final = b"PAR1"
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_WHOLE: Final = re.compile(number_spelling.WHOLE)
_DIGITS: Final = 18  # of these, every whole number is an int64
_HEADER_BYTES: Final = 2**16


class InputError(ValueError):
    """The input cannot be scored; the message says why, and shows no value."""


class Input(NamedTuple):
    """The files of an input.

    Attributes
    ----------
    folder
        What their names are relative to: the input's folder, or the one above the first wildcard.
    files
        What pyarrow says about each of them.
    format
        What all of them are.
    """

    folder: Place
    files: list[Any]
    format: Format


def find(source: str, features: Sequence[str]) -> Input:
    """Find the files of an input: a file, a folder, or what matches a pattern.

    Files and folders whose names begin with ``_`` or a dot do not count, nor does CSV of no bytes,
    which some writers make of a partition without rows.

    Parameters
    ----------
    features
        The columns that a file without an ending is known by.

    Raises
    ------
    InputError
        If there is none, one of them is neither Parquet nor CSV, or there are both.
    mlflow_sealed.batch.storage.StorageError
        If the place cannot be found.
    """
    folder, infos = _files(source)
    formats: dict[Format, list[Any]] = {"parquet": [], "csv": []}
    for info in infos:
        formats[_format(folder, info, features)].append(info)
    if not any(formats.values()):
        raise InputError(f"{source}: has no files, expected .parquet or .csv")
    if all(formats.values()):
        both = " and ".join(each[0].path for each in formats.values())
        raise InputError(f"{source}: has Parquet and CSV ({both}), expected one of them")
    form: Format = "parquet" if formats["parquet"] else "csv"
    if form == "csv" and len(infos) > 1:
        infos = [info for info in infos if info.size] or infos[:1]
    return Input(folder, infos, form)


def partitions(folder: str, path: str) -> dict[str, str | None]:
    """Return the columns that the names of the folders between a folder and a file have.

    Examples
    --------
    >>> partitions("/data", "/data/site=north%20east/year=2026/a.parquet")
    {'site': 'north east', 'year': '2026'}
    """
    names = path.removeprefix(folder).strip("/").split("/")[:-1]
    found = {}
    for each in names:
        name, equals, value = each.partition("=")
        if equals and name:
            found[unquote(name)] = None if value == _NULL else unquote(value)
    return found


def partition_type(values: Sequence[str | None]) -> Any:
    """Return the Arrow type of a column whose values are in folders' names.

    It is a number only if every value can be written again as it was: 007 is text.

    Examples
    --------
    >>> [str(partition_type(each)) for each in (["1", "20"], ["0.5", None], ["007"], ["north"])]
    ['int64', 'double', 'string', 'string']
    """
    given = [value for value in values if value is not None]
    if all(_WHOLE.fullmatch(value) and len(value) <= _DIGITS for value in given) and given:
        return pa.int64()
    if all(_is_number(value) for value in given) and given:
        return pa.float64()
    return pa.string()


def _is_number(text: str) -> bool:
    if not text or text in number_spelling.MISSING:
        return False
    try:
        return str(number_spelling.read(text, whole=False)) in {text, f"{text}.0"}
    except ValueError:
        return False


def _files(source: str) -> tuple[Place, list[Any]]:
    place, pattern = storage.divided(storage.locate(source))
    if not pattern:
        info = storage.files(place, ("",))
        return place, info
    if not place.exists():
        raise storage.StorageError(f"{place.path} does not exist")
    top = place.path.rstrip("/")
    found = [
        each
        for each in storage.below(place)
        if storage.matches(each.path.removeprefix(f"{top}/"), pattern)
    ]
    if not found:
        raise storage.StorageError(f"{source}: no file matches")
    return place, found


def _format(folder: Place, info: Any, features: Sequence[str]) -> Format:
    """Return what a file is by its name's ending, or else by how it begins."""
    name = info.path.lower()
    for form, endings in ENDINGS.items():
        if name.endswith(endings):
            return form
    start = head(folder.of(info.path))
    if start.startswith(_MAGIC):
        return "parquet"
    first = start.decode("utf-8", errors="replace").lstrip("\ufeff").partition("\n")[0]
    if set(features) <= {cell.strip('"\r') for cell in first.split(",")}:
        return "csv"
    raise InputError(
        f"{info.path}: is neither Parquet nor CSV, by its name and its content: take it out, or "
        "let its name begin with _"
    )


def head(place: Place) -> bytes:
    """Return how a file begins, unpacked if its name says that it is packed.

    Raises
    ------
    InputError
        If it cannot be unpacked.
    """
    try:
        with opened(place) as stream:
            return stream.read(_HEADER_BYTES)
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{place.path}: cannot be unpacked") from None


class Stream:
    """A part of a file, unpacked if its name says that it is packed.

    Attributes
    ----------
    passed
        How many bytes of the file, packed as it is, are read.
    """

    def __init__(self, place: Place, skipped: int, size: int | None) -> None:
        self._file = place.system.open_input_file(place.path)
        kind = _KINDS.get(f".{place.path.lower().rpartition('.')[2]}")
        self._left = None if kind else size
        if kind:
            self._stream = pa.CompressedInputStream(self._file, kind)
            self._stream.read(skipped)
        else:
            self._stream = self._file
            self._file.seek(skipped)
        self._first = int(self._file.tell())

    @property
    def passed(self) -> int:
        """See above."""
        return int(self._file.tell()) - self._first

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, none at the end."""
        if self._left is None:
            return bytes(self._stream.read(size))
        content = bytes(self._stream.read(min(size, self._left)))
        self._left -= len(content)
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextlib.contextmanager
def opened(place: Place, skipped: int = 0, size: int | None = None) -> Iterator[Stream]:
    """Give a stream of a file for a ``with`` block.

    Parameters
    ----------
    skipped
        How many bytes to leave out, unpacked.
    size
        How many to read; None: all. Of a packed file, all are read.
    """
    stream = Stream(place, skipped, size)
    try:
        yield stream
    finally:
        stream.close()

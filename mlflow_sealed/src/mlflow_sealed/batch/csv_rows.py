r"""Read the rows of a CSV file as text: quotes as pandas, DuckDB, R and Spark write them.

A quote within quotes is ``""`` (RFC 4180, section 2.7) or, as Spark writes it, ``\"``. A line
that cannot be read is told by its number, and the rows around it are read. Executors import this
module, so it imports installed distributions only.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mlflow_sealed.batch.inputs import InputError

BLOCK_BYTES: Final = 2**21
"""How much of a file is read at once: some 50,000 rows."""

_LINE_BYTES: Final = 2**26
_RECORD_LINES: Final = 1000
_UNCLOSED: Final = "a quote is opened and not closed"
_OPEN: Final = "unexpected end of data"  # what Python's reader says where a quote is not closed
_CELL: Final = re.compile(
    r'(?:"((?:[^"\\]|\\.|"")*+)"|([^",\r\n][^,\r\n]*|))(,|\r?\n?\Z)', re.DOTALL
)
_ESCAPED: Final = re.compile(r'\\(["\\])|""')
_OPEN_CELL: Final = re.compile(r'"(?:[^"\\]|\\.|"")*+\\?\Z', re.DOTALL)
_BOM: Final = b"\xef\xbb\xbf"


class Rows(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    table
        A RecordBatch of text columns; an empty cell is null.
    numbers
        int64, the line that each row begins in, from 1.
    unreadable
        The lines that are no rows, and why.
    """

    table: Any
    numbers: npt.NDArray[np.int64]
    unreadable: list[tuple[int, str]]


class Header(NamedTuple):
    """The names of the columns, and how much of the file they take."""

    names: tuple[str, ...]
    lines: int
    size: int


class _Parsed(NamedTuple):
    """What the lines of a block are, and how many of them are used up."""

    rows: list[list[str]]
    numbers: list[int]
    unreadable: list[tuple[int, str]]
    used: int


def header(start: bytes) -> Header:
    """Return the columns' names from the beginning of a file.

    Raises
    ------
    InputError
        If the first line is not CSV in UTF-8; the message does not name the file.
    """
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError("is in UTF-16, expected UTF-8")
    lines = start.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        content = b"".join(lines[:count])
        try:
            names = _cells(content.removeprefix(_BOM).decode("utf-8"), width=None)
        except UnicodeDecodeError:
            raise InputError("is not CSV in UTF-8: its first line has other bytes") from None
        if isinstance(names, list):
            return Header(tuple(names), count, len(content))
        if names != _OPEN:
            break
    if not lines:
        return Header((), 0, 0)
    raise InputError("is not CSV: its first line cannot be read")


def read(stream: Any, names: Sequence[str], line: int) -> Iterator[Rows]:
    """Read the rows of a stream that begins after the header.

    Parameters
    ----------
    stream
        Has ``read``, and gives bytes.
    names
        Those of the columns.
    line
        The number of the stream's first line, from 1.

    Raises
    ------
    InputError
        If a line has no end; the message does not name the file.
    """
    left, ended = b"", False
    while not ended:
        more = bytes(stream.read(BLOCK_BYTES))
        ended = not more
        block, rest = (left + more, b"") if ended else _whole_lines(left + more)
        if len(rest) > _LINE_BYTES:
            raise InputError(f"line {line + _lines(block)} has more than 64 MiB")
        rows, used = _rows(block, names, line, final=ended)
        line += _lines(block[:used])
        left = block[used:] + rest
        yield rows


def rest_of_line(stream: Any) -> bytes:
    """Return what is left of the line that a stream is in, with its end."""
    found = b""
    while (more := stream.read(1)) and len(found) < _LINE_BYTES:
        found += more
        if more == b"\n":
            break
    return found


def _whole_lines(content: bytes) -> tuple[bytes, bytes]:
    end = content.rfind(b"\n") + 1 or content.rfind(b"\r", 0, -1) + 1
    return content[:end], content[end:]


def _lines(content: bytes) -> int:
    if b"\r" in content:
        return len(content.splitlines())
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _rows(block: bytes, names: Sequence[str], line: int, *, final: bool) -> tuple[Rows, int]:
    """Return the rows of whole lines, and how many bytes they take: the last may go on."""
    if (quick := _without_quotes(block, names, line)) is not None:
        return quick, len(block)
    lines = block.splitlines(keepends=True)
    parsed = _parsed(lines, len(names), line, final=final)
    columns = zip(*parsed.rows, strict=True) if parsed.rows else ([] for _ in names)
    arrays = [pa.array([cell or None for cell in cells], pa.string()) for cells in columns]
    table = pa.RecordBatch.from_arrays(arrays, names=list(names))
    numbers = np.array(parsed.numbers, dtype=np.int64)
    return Rows(table, numbers, parsed.unreadable), sum(map(len, lines[: parsed.used]))


def _without_quotes(block: bytes, names: Sequence[str], line: int) -> Rows | None:
    """Return the rows of lines that are plain enough for Arrow's reader, which is much faster.

    None if there is a quote, an empty line, a lone carriage return, or a byte that is not UTF-8.
    """
    if not block or b'"' in block or b"\n\n" in block or b"\n\r" in block or block[0] in b"\r\n":
        return None
    if block.count(b"\r") != block.count(b"\r\n"):
        return None
    unreadable: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        unreadable.append((row.number, _width(len(names), row.actual_columns)))
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(block),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=list(names)
            ),
            arrow_csv.ParseOptions(quote_char=False, invalid_row_handler=skip),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowException:
        return None
    skipped = np.array([number for number, _ in unreadable], dtype=np.int64) - 1
    numbers = np.delete(np.arange(table.num_rows + len(skipped), dtype=np.int64), skipped) + line
    told = [(number + line - 1, why) for number, why in unreadable]
    return Rows(_one_batch(table), numbers, told)


def _one_batch(table: Any) -> Any:
    arrays = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _parsed(lines: Sequence[bytes], width: int, first: int, *, final: bool) -> _Parsed:
    """Read lines: many at once where that is sure to be right, and the others one by one."""
    found = _Parsed([], [], [], 0)
    at = 0
    while at < len(lines):
        at = _many(lines, at, width, first, found)
        if at == len(lines):
            break
        cells, taken = _record(lines, at, width)
        if cells == _OPEN and not final and len(lines) - at < _RECORD_LINES:
            break
        if isinstance(cells, list):
            found.rows.append(cells)
            found.numbers.append(first + at)
            at += taken
        else:  # only this line: a quote that is not closed takes no other row with it
            found.unreadable.append((first + at, _UNCLOSED if cells == _OPEN else cells))
            at += 1
    return found._replace(used=at)


def _many(lines: Sequence[bytes], at: int, width: int, first: int, found: _Parsed) -> int:
    """Add rows as long as Python's reader finds as many cells as there have to be, and no escape.

    Returns
    -------
    int
        The line after the last of them.
    """
    reader = csv.reader(_decoded(lines, at), strict=True)
    end = at
    try:
        for cells in reader:
            if cells:
                if len(cells) != width:
                    break
                found.rows.append(cells)
                found.numbers.append(first + end)
            end = at + reader.line_num
    except csv.Error:
        pass
    return end


def _decoded(lines: Sequence[bytes], at: int) -> Iterator[str]:
    """Give lines as text until one is not plain."""
    for line in itertools.islice(lines, at, None):
        if b"\\" in line:
            return
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            return


def _record(lines: Sequence[bytes], at: int, width: int) -> tuple[list[str] | str, int]:
    """Return the cells of the row that begins at a line, or why there is none; and its lines."""
    text = ""
    for count, line in enumerate(lines[at : at + _RECORD_LINES], 1):
        try:
            text += line.decode("utf-8")
        except UnicodeDecodeError:
            return "is not UTF-8", 1
        if count > 1 and b'"' not in line:
            continue
        cells = _cells(text, width)
        if cells != _OPEN:
            return (_UNCLOSED if isinstance(cells, str) and count > 1 else cells), count
    return _OPEN, 1


def _cells(text: str, width: int | None) -> list[str] | str:
    """Return the cells of a row, or why they cannot be read: by RFC 4180, or else as Spark writes.

    Parameters
    ----------
    width
        How many there have to be; None: any number.
    """
    try:
        cells = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        said = _OPEN if str(error) == _OPEN else "its quotes cannot be read"
    else:
        if width in {None, len(cells)}:
            return cells
        said = _width(width or 0, len(cells))
    escaped = _escaped_cells(text) if '"' in text else None
    if isinstance(escaped, list):
        return escaped if width in {None, len(escaped)} else said
    return escaped or said


def _width(expected: int, got: int) -> str:
    return f"expected {expected} cells, got {got}"


def _escaped_cells(text: str) -> list[str] | str | None:
    """Return the cells of a row whose quotes may be escaped by a backslash.

    `_OPEN` stands for one whose last quote is not closed, None for what is no such row.
    """
    cells, at = [], 0
    while found := _CELL.match(text, at):
        quoted, bare, end = found.groups()
        cells.append(bare if quoted is None else _ESCAPED.sub(_unescaped, quoted))
        at = found.end()
        if end != ",":
            return cells if at == len(text) else None
    return _OPEN if _OPEN_CELL.match(text, at) else None


def _unescaped(found: "re.Match[str]") -> str:
    return found[1] or '"'

"""CSV as its writers write it: quotes, broken lines, long cells, and rows in pieces."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sealed.batch import csv_rows
from mlflow_sealed.batch.inputs import InputError

Found = tuple[list[tuple[int, tuple[str | None, ...]]], list[tuple[int, str]]]


def read(content: bytes) -> Found:
    """The rows of a file with the numbers of their lines, and the lines that are none."""
    header = csv_rows.header(content)
    stream = io.BytesIO(content[header.size :])
    rows: list[tuple[int, tuple[str | None, ...]]] = []
    unreadable: list[tuple[int, str]] = []
    for each in csv_rows.read(stream, header.names, header.lines + 1):
        cells = zip(*(column.to_pylist() for column in each.table.columns), strict=True)
        rows += zip(each.numbers.tolist(), cells, strict=True)
        unreadable += each.unreadable
    return rows, unreadable


WRITTEN = {
    "plain": (b"a,b\n1,2\n", [(2, ("1", "2"))]),
    "no last line's end": (b"a,b\n1,2", [(2, ("1", "2"))]),
    "Windows": (b"a,b\r\n1,2\r\n\r\n3,4\r\n", [(2, ("1", "2")), (4, ("3", "4"))]),
    "an old Mac": (b"a,b\r1,2\r3,4", [(2, ("1", "2")), (3, ("3", "4"))]),
    "a byte order mark": (b'\xef\xbb\xbf"a","b"\n1,2\n', [(2, ("1", "2"))]),
    "empty lines": (b"a,b\n\n1,2\n\n", [(3, ("1", "2"))]),
    "empty cells": (b"a,b\n,\n", [(2, (None, None))]),
    "pandas, DuckDB and R": (b'a,b\n"say ""so""","x, y"\n', [(2, ('say "so"', "x, y"))]),
    "Spark": (b'a,b\n"say \\"so\\"","x, y"\n', [(2, ('say "so"', "x, y"))]),
    "Spark's empty text": (b'a,b\n"",2\n', [(2, (None, "2"))]),
    "a backslash before the end of a cell": (b'a,b\n"C:\\",2\n', [(2, ("C:\\", "2"))]),
    "a backslash without quotes": (b"a,b\nC:\\x,2\n", [(2, ("C:\\x", "2"))]),
    "several lines": (b'a,b\n"x\ny",2\n3,4\n', [(2, ("x\ny", "2")), (4, ("3", "4"))]),
    "several lines of Spark": (b'a,b\n"x \\"y\nz",2\n', [(2, ('x "y\nz', "2"))]),
    "a quote within a cell": (b'a,b\n5" pipe,2\n', [(2, ('5" pipe', "2"))]),
    "another language": ("a,b\nJosé,Ω\n".encode(), [(2, ("José", "Ω"))]),
    "a long cell": (b'a,b\n"' + b"x" * 200_000 + b'",2\n', [(2, ("x" * 200_000, "2"))]),
}


@pytest.mark.parametrize(("content", "rows"), WRITTEN.values(), ids=WRITTEN)
def test_what_others_write_is_read(content: bytes, rows: list[Any]) -> None:
    assert read(content) == (rows, [])


BROKEN = {
    "too few cells": (b"1", "expected 2 cells, got 1"),
    "too many cells": (b"1,2,3", "expected 2 cells, got 3"),
    "too few, quoted": (b'"1"', "expected 2 cells, got 1"),
    "text after a quote": (b'"1"2,3', "its quotes cannot be read"),
    "a quote that is not closed": (b'"1,2', "a quote is opened and not closed"),
    "Latin-1": (b"Jos\xe9,2", "is not UTF-8"),
}


@pytest.mark.parametrize(("line", "why"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("quoted", [False, True])
def test_a_broken_line_takes_no_other_with_it(line: bytes, why: str, *, quoted: bool) -> None:
    good = b'"5","6"' if quoted else b"5,6"
    rows, unreadable = read(b"\n".join([b"a,b", good, line, good, good, b""]))
    assert unreadable == [(3, why)]
    assert rows == [(number, ("5", "6")) for number in (2, 4, 5)]


# Where a backslash is before a quote, the one who wrote it is not known: over several lines it is
# read as Spark's. A cell may end with one only on one line (see WRITTEN).
TEXT = st.text(st.sampled_from('ab1,"\n\r\\ é'), max_size=5)
CELLS = TEXT.filter(lambda it: '\\"' not in it and not it.endswith("\\"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 40),
)
def test_what_python_writes_is_read_in_blocks_of_any_size(
    rows: list[tuple[str, str]], quoting: Any, block: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting).writerows([("a", "b"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        found, unreadable = read(text.getvalue().encode())
    assert unreadable == []
    assert [cells for _, cells in found] == [(a or None, b or None) for a, b in rows]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n".encode("utf-16"), "is in UTF-16, expected UTF-8"),
        (b"a,\xe9\n1,2\n", "is not CSV in UTF-8: its first line has other bytes"),
        (b'"a,b\n1,2\n', "is not CSV: its first line cannot be read"),
    ],
)
def test_a_first_line_that_cannot_be_read_is_an_error(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}$"):
        csv_rows.header(content)


def test_a_header_may_have_several_lines() -> None:
    assert csv_rows.header(b'"a\nb",c\n1,2\n') == (("a\nb", "c"), 2, 8)

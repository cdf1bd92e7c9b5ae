"""Compare readers of Parquet for the server: size, import, memory and speed.

Each reader turns the same files into the same rows, in a process of its own that has pandas and
numpy already, as a worker has.
"""

import argparse
import importlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

ROWS: Final = (1, 10_000)
COLUMNS: Final = (
    "installed, MiB",
    "import, ms",
    "memory of the import, MiB",
    "1 row, ms",
    "10,000 rows, ms",
    "memory then, MiB",
)
_REPEATS: Final = 30

Rows = list[dict[str, Any]]


class Reader(NamedTuple):
    """A reader: the distributions that it adds, what it imports, and how it reads."""

    distributions: tuple[str, ...]
    module: str
    read: Callable[[bytes], Rows]


def by_arro3(body: bytes) -> Rows:
    """Read with arrow-rs."""
    arro3 = importlib.import_module("arro3.io")
    rows: Rows = []
    for batch in arro3.read_parquet(body, batch_size=4096):
        columns = [column.to_pylist() for column in batch.columns]
        rows += [
            dict(zip(batch.column_names, row, strict=True)) for row in zip(*columns, strict=True)
        ]
    return rows


def by_pyarrow(body: bytes) -> Rows:
    """Read with Arrow C++, on one thread."""
    parquet = importlib.import_module("pyarrow.parquet")
    table = parquet.ParquetFile(io.BytesIO(body)).read(use_threads=False)
    columns = [column.to_pylist() for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def by_fastparquet(body: bytes) -> Rows:
    """Read with fastparquet."""
    fastparquet = importlib.import_module("fastparquet")
    frame = fastparquet.ParquetFile(io.BytesIO(body)).to_pandas(index=False).astype(object)
    rows: Rows = frame.where(frame.notna(), None).to_dict("records")
    return rows


READERS: Final = {
    "arro3": Reader(("arro3-core", "arro3-io"), "arro3.io", by_arro3),
    "pyarrow": Reader(("pyarrow",), "pyarrow.parquet", by_pyarrow),
    "fastparquet": Reader(("fastparquet", "cramjam", "fsspec"), "fastparquet", by_fastparquet),
}


def main() -> None:
    """Print a table of Markdown; a process for each reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.reader:
        print(json.dumps(measured(READERS[given.reader], given.folder)))
        return
    print(f"| reader | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in ROWS:
            table(rows).to_parquet(Path(folder) / f"{rows}.parquet", engine="pyarrow")
        for name, reader in READERS.items():
            command = ["-m", "benchmarks.parquet_readers", "--reader", name, "--folder", folder]
            done = subprocess.run([sys.executable, *command], check=True, capture_output=True)
            figures = [installed_mib(reader), *json.loads(done.stdout)]
            print(f"| {name} | {' | '.join(f'{figure:.3g}' for figure in figures)} |")


def measured(reader: Reader, folder: Path) -> list[float]:
    """Return the figures of `COLUMNS` after the first."""
    bodies = [(folder / f"{rows}.parquet").read_bytes() for rows in ROWS]
    if reader.module != "pyarrow.parquet":
        sys.modules["pyarrow"] = None  # type: ignore[assignment] # pandas would import it
        importlib.import_module("pandas")
    before, begin = memory_mib(), time.perf_counter()
    importlib.import_module(reader.module)
    figures = [1000 * (time.perf_counter() - begin), memory_mib() - before]
    fastest = [min(_seconds(reader.read, body) for _ in range(_REPEATS)) for body in bodies]
    return [*figures, *(1000 * seconds for seconds in fastest), memory_mib() - before]


def table(rows: int) -> "pd.DataFrame":
    """Return numbers as pandas has them: floats, whole numbers, and some missing."""
    import pandas as pd  # noqa: PLC0415 # not where readers are measured: it imports pyarrow

    drawn = np.random.default_rng(7)
    columns = {f"x{number}": drawn.normal(100, 30, rows).round(1) for number in range(6)}
    frame = pd.DataFrame(columns | {"n": drawn.integers(0, 90, rows)})
    return frame.mask(drawn.random(frame.shape) < 0.2).astype({"n": "Int64"})  # noqa: PLR2004


def installed_mib(reader: Reader) -> float:
    """Return how much the files of a reader's distributions take."""
    files = [file for name in reader.distributions for file in metadata.files(name) or ()]
    return sum(file.size or 0 for file in files) / 2**20


def memory_mib() -> float:
    """Return the memory of this process, resident."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    [line] = [line for line in text.splitlines() if line.startswith("Rss:")]
    return int(line.split()[1]) / 1024


def _seconds(read: Callable[[bytes], Rows], body: bytes) -> float:
    begin = time.perf_counter()
    read(body)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

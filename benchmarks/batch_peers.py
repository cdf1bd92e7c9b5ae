"""What batch scoring is compared with, each in a process of its own.

python -m benchmarks.batch_peers pyfunc MODEL TABLE
python -m benchmarks.batch_peers booster MODEL TABLE
python -m benchmarks.batch_peers script MODEL TABLE

It prints the rows and the seconds as JSON; loading is not counted.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost
from pyarrow import dataset, parquet

from examples.generate import CHUNK
from mlflow_sealed.batch.stopwatch import Stopwatch
from mypreprocessing import FEATURES, preprocess


def pyfunc(model: Path, table: Path) -> tuple[int, float]:
    """Score the chunks of a table of Parquet with the model as MLflow loads it.

    Reading is counted. `Patient` refuses a chunk that has a bad row, so the table has none.

    Returns
    -------
    tuple
        Rows and seconds.
    """
    loaded, rows = mlflow.pyfunc.load_model(str(model)), 0
    began = time.monotonic()
    for chunk in _chunks(table):
        rows += len(loaded.predict(chunk.to_pylist()))
    return rows, time.monotonic() - began


def booster(model: Path, table: Path) -> tuple[int, float]:
    """Predict features that lie ready in memory, with one thread: nothing else is counted.

    Returns
    -------
    tuple
        Rows and seconds.
    """
    bare = xgboost.Booster({"nthread": 1}, model_file=model / "artifacts" / "booster.ubj")
    ready: list[npt.NDArray[np.float32]] = [preprocess(each.to_pandas()) for each in _chunks(table)]
    began = time.monotonic()
    rows = sum(len(bare.inplace_predict(features)) for features in ready)
    return rows, time.monotonic() - began


def script(model: Path, table: Path) -> tuple[int, float]:
    """Do what a short script does: read a whole table, predict with all cores, and write it.

    Nothing is checked, and all rows are in memory at once. Its imports count, as those of a command
    do: the seconds are those since the process started.

    Returns
    -------
    tuple
        Rows and seconds.
    """
    bare = xgboost.Booster(model_file=model / "artifacts" / "booster.ubj")
    found = parquet.read_table(table)
    features = np.empty((len(found), len(FEATURES)), dtype=np.float32)
    for position, name in enumerate(FEATURES):
        features[:, position] = found[name].to_numpy()
    probability = pa.array(bare.inplace_predict(features))
    output = table.with_name(f"{table.name}-script.parquet")
    parquet.write_table(found.append_column("probability", probability), output)
    output.unlink()
    return len(found), Stopwatch().total_s


def main(arguments: list[str]) -> None:
    """Run one of them and print its rows and seconds."""
    name, model, table = arguments
    rows, seconds = {"pyfunc": pyfunc, "booster": booster, "script": script}[name](
        Path(model), Path(table)
    )
    print(json.dumps({"rows": rows, "seconds": seconds}))


def _chunks(table: Path) -> Iterator[pa.RecordBatch]:
    found = dataset.dataset(table, format="parquet")
    yield from found.to_batches(columns=list(FEATURES), batch_size=CHUNK)


if __name__ == "__main__":
    main(sys.argv[1:])

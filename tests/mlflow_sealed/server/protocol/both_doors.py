"""What the server and batch scoring make of a file of Parquet, and what JSON is."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlflow_sealed.batch import chunks, plan, rules
from mlflow_sealed.server.protocol.media_types import JSON, PARQUET
from mlflow_sealed.server.protocol.reader import Reader
from tests.mlflow_sealed.server.protocol.parquet_files import File


class Number(BaseModel):
    """A row with a number."""

    model_config = ConfigDict(allow_inf_nan=False)
    x: float | None


class Whole(BaseModel):
    """A row with a whole number."""

    model_config = ConfigDict(allow_inf_nan=False)
    x: int | None


READERS: Final[dict[type[BaseModel], Reader]] = {
    row: Reader(row, max_rows=10_000) for row in (Number, Whole)
}


def assert_alike(file: File, folder: Path) -> None:
    """Both doors give what JSON gives for the same values."""
    for row in (Number, Whole):
        if row is Whole and not _are_whole(file.values):
            continue
        body = json.dumps({"inputs": [{"x": value} for value in file.values]}).encode()
        expected = READERS[row].read(JSON, body).rows
        assert READERS[row].read(PARQUET, file.body).rows == expected, f"server: {file.name}"
        found = batch(file.body, folder, row)
        numbers = [float("nan") if each.x is None else float(each.x) for each in expected]
        np.testing.assert_array_equal(found, numbers, err_msg=f"batch: {file.name}", strict=False)


def batch(body: bytes, folder: Path, row: type[BaseModel]) -> list[float]:
    """Return the column x as batch scoring reads it; NaN is null."""
    path = folder / "x.parquet"
    path.write_bytes(body)
    job = plan.make(str(path), plan.Model("models:/x/1", "", ("x",), ("x",)))
    found: list[float] = []
    for part in (each for parts in job.parts for each in parts):
        for chunk in chunks.read(job, part):
            columns = {"x": chunk.table.column("x")}
            checked = rules.check(columns, rules.rules_of(row), row)
            assert not checked.broken
            found += checked.records["x"].tolist()
    return found


def _are_whole(values: list[Any]) -> bool:
    return all(value is None or isinstance(value, int) for value in values)

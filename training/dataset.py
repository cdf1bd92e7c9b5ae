"""Read the training data, and refuse what is not a patient's record with a label."""

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from pydantic import ValidationError

from mlflow_sealed.training.measure.dataset import DataError, Dataset
from training.preprocessing import FEATURES, MEASUREMENTS, Patient
from training.project import LABEL

COLUMNS: Final = (*FEATURES, LABEL)


def read(path: Path) -> Dataset:
    """Read a CSV with a header line: the eight features in any order, and the label.

    Every row is held to the rules of `mypreprocessing.Patient`, the same that a request meets. An
    empty cell is null.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or has a column, row, cell or label that is wrong;
        names the line.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected a CSV file in UTF-8, got other bytes") from None
    try:
        patients, labels = _parse(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return Dataset(
        records=pd.DataFrame([patient.model_dump() for patient in patients]),
        labels=np.array(labels, dtype=np.int64),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _parse(text: str) -> tuple[list[Patient], list[int]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    rows = _rows(reader)
    _, header = next(rows, (1, []))
    _check_header(header)
    patients, labels = [], []
    for line, row in filter(lambda numbered: numbered[1], rows):
        if len(row) != len(header):
            raise DataError(f"line {line}: expected {len(header)} cells, got {len(row)}")
        cells = dict(zip(header, row, strict=True))
        label = cells.pop(LABEL)
        if label not in {"0", "1"}:
            raise DataError(f"line {line}, {LABEL}: expected 0 or 1")
        patients.append(_patient(cells, line))
        labels.append(int(label))
    if not patients:
        raise DataError(f"line {reader.line_num + 1}: expected rows under the header, got none")
    return patients, labels


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Give the rows with the numbers of their lines."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"line {reader.line_num}: {error}") from None
        yield reader.line_num, row


def _check_header(header: list[str]) -> None:
    faults = {
        "missing": [name for name in COLUMNS if name not in header],
        "twice": sorted({name for name in header if header.count(name) > 1}),
        # Counted, not shown: in a file without a header this is the first patient.
        "surplus": len([name for name in header if name not in COLUMNS]),
    }
    found = [f"{fault}: {names}" for fault, names in faults.items() if names]
    if found:
        raise DataError(
            f"line 1: columns {'; '.join(found)}; expected a header with {', '.join(COLUMNS)}"
        )


def _patient(cells: dict[str, str], line: int) -> Patient:
    record = {
        name: None if name in MEASUREMENTS and not cell.strip() else cell
        for name, cell in cells.items()
    }
    for name, cell in cells.items():
        if "_" in cell:  # Python's own numbers may have it, and so may pydantic's
            raise DataError(f"line {line}, {name}: expected a number")
    try:
        return Patient.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise DataError(f"line {line}, {first['loc'][0]}: {first['msg']}") from None

"""Plan a scoring job: divide its input into parts, each of which is scored once.

The plan is written to the output before the first row is scored. A job that is started again reads
it and scores the parts that are left. The executors read it too, so this module imports installed
distributions only.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from mlflow_sealed.batch import inputs, storage, survey
from mlflow_sealed.batch.inputs import Format, InputError
from mlflow_sealed.batch.survey import File, Model, Slice

__all__ = ["File", "InputError", "Model", "Plan", "Slice", "make"]

PLAN: Final = "_plan.json"
PARTS: Final = "_parts"
"""The folder that has the tally of each part that is done."""

DONE: Final = "_SUCCESS"
SCORED: Final = "scored"
REFUSED: Final = "refused"
ADDED: Final = {"pred": pa.int8(), "probability": pa.float64(), "model_version": pa.string()}
"""The columns of scored rows that follow those of the input."""

EXPLAINED: Final = ("base_value", "contributions")
"""Those that follow them where each row has its reasons."""


class Plan(BaseModel):
    """What a job is to score, and with which model.

    Attributes
    ----------
    input
        The address that was given.
    folder
        The folder that the files' names are relative to.
    columns
        The columns of the input, in their order.
    types
        Their Arrow schema, serialised, in base64.
    model
        The model's address, with its version: ``models:/NAME/3``.
    model_sha256
        The SHA-256 of the model's manifest, which has those of all of its files.
    features
        The columns that the model takes.
    kept
        The columns of the input that the output has.
    explain
        Whether the output has each row's reasons.
    """

    model_config = ConfigDict(frozen=True)

    input: str
    folder: str
    format: Format
    columns: tuple[str, ...]
    types: str
    files: tuple[File, ...]
    model: str
    model_sha256: str
    features: tuple[str, ...]
    kept: tuple[str, ...]
    explain: bool
    parts: tuple[tuple[Slice, ...], ...]

    @property
    def rows(self) -> int | None:
        """How many rows there are; None for CSV, which has to be read to know."""
        return None if self.format == "csv" else self.size

    @property
    def size(self) -> int:
        """How much there is to score: rows of Parquet, or bytes of CSV."""
        return sum(each.size for part in self.parts for each in part)

    @property
    def model_version(self) -> str:
        """The model's version alone."""
        return self.model.rpartition("/")[2]

    @cached_property
    def schema_of_input(self) -> Any:
        """The Arrow schema of the input's columns."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.types)))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what the output depends on: everything but the division."""
        content = self.model_dump_json(exclude={"parts"}).encode()
        return hashlib.sha256(content).hexdigest()


def make(
    source: str,
    model: Model,
    *,
    parts: int = 0,
    kept: Sequence[str] | None = None,
    explain: bool = False,
) -> Plan:
    """Read what an input has, without its rows, and divide it.

    Parameters
    ----------
    source
        The address of a file or a folder, or of several by wildcards.
    parts
        About how many parts to make; 0: as many as `mlflow_sealed.batch.survey` says.
    kept
        The columns of the input that the output is to have; None: all.
    explain
        Whether the output has each row's reasons.

    Raises
    ------
    InputError
        If there is nothing to score, a column is missing, has a type that is no number's or a name
        that the output needs, or has types in several files of which none holds the other's values.
    mlflow_sealed.batch.storage.StorageError
        If it cannot be found.
    """
    place = storage.locate(source)
    found = inputs.find(source, model.features)
    files = tuple(File(info.path, info.size, info.mtime_ns or 0) for info in found.files)
    schema, slices = survey.made(found, files, model)
    added = (*ADDED, *(EXPLAINED if explain else ()))
    if taken := [each for each in added if each in schema.names]:
        raise InputError(f"{source}: columns taken by the output: {', '.join(taken)}")
    total = sum(each.size for each in slices)
    return Plan(
        input=place.address,
        folder=found.folder.path,
        format=found.format,
        columns=tuple(schema.names),
        types=base64.b64encode(schema.serialize()).decode(),
        files=files,
        model=model.address,
        model_sha256=model.sha256,
        features=model.features,
        kept=_kept(source, schema.names, kept),
        explain=explain,
        parts=divide(slices, parts or round(total / survey.part_size(found.format))),
    )


def divide(slices: Sequence[Slice], parts: int) -> tuple[tuple[Slice, ...], ...]:
    """Divide slices, in their order, into at most this many parts of about the same size.

    Examples
    --------
    >>> [len(part) for part in divide([Slice(0, group, 0, 10) for group in range(5)], 2)]
    [2, 3]
    """
    total, before = sum(each.size for each in slices), 0
    found: dict[int, list[Slice]] = {}
    for each in slices:
        middle = before + each.size / 2
        found.setdefault(int(max(parts, 1) * middle / max(total, 1)), []).append(each)
        before += each.size
    return tuple(tuple(part) for part in found.values())


def name(part: int) -> str:
    """Return what the names of a part's files begin with.

    Examples
    --------
    >>> name(7)
    'part-00007'
    """
    return f"part-{part:05}"


def number(file: str) -> int:
    """Return the part that a file belongs to, by its name.

    Examples
    --------
    >>> number("part-00007.json")
    7
    """
    return int(file.removeprefix("part-").partition(".")[0])


def as_json(content: Any) -> bytes:
    """Return JSON for a file that people read too."""
    return (json.dumps(content, indent=1) + "\n").encode()


def _kept(source: str, names: Sequence[str], kept: Sequence[str] | None) -> tuple[str, ...]:
    if kept is None:
        return tuple(names)
    if missing := [name for name in kept if name not in names]:
        raise InputError(f"{source}: columns to keep that are missing: {', '.join(missing)}")
    return tuple(dict.fromkeys(kept))

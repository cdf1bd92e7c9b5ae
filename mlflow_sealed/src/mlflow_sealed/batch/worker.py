"""A process of this machine that scores parts: what it is asked, and what it answers.

It ends when the process that started it ends, even if that was killed.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from mlflow_sealed.batch import model, plan, score, storage
from mlflow_sealed.batch.plan import Plan
from mlflow_sealed.batch.tally import Tally


class Load(NamedTuple):
    """Load a model. The answer is a `mlflow_sealed.batch.model.RegisteredModel`."""

    address: str
    folder: str


class Score(NamedTuple):
    """Score a part. The answers are a `Chunk` for each chunk, then `Done`."""

    part: int
    output: str
    folder: str


class Chunk(NamedTuple):
    """Some rows are scored; ``read`` is how much of the part that was: rows, or bytes of CSV."""

    tally: Tally
    read: int


class Done(NamedTuple):
    """A part is scored."""


class Failed(NamedTuple):
    """What was asked for failed."""

    error: Exception


class WorkerError(RuntimeError):
    """A worker has failed; the message says why, in one line."""


def run(connection: Connection) -> None:
    """Do what is asked through a connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_answer(connection.recv(), connection.send))


def _answer(asked: Load | Score, send: Callable[[Any], None]) -> Any:
    try:
        if isinstance(asked, Load):
            return model.load(asked.address, Path(asked.folder))
        place = storage.locate(asked.output)
        job = _plan(asked.output)
        scorer = score.scorer(asked.folder, job.model_version)
        score.score_part(
            job, asked.part, place, scorer, report=lambda tally, read: send(Chunk(tally, read))
        )
        return Done()
    except (model.ModelError, plan.InputError, score.WriteError, storage.StorageError) as error:
        return Failed(error)
    except Exception as error:  # noqa: BLE001 # a fault of ours or of the model's code
        # Only where it is: its message may show a row.
        place_ = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {Path(place_.filename).name}:{place_.lineno}"
        return Failed(WorkerError(f"a worker has failed ({where}); what is done stays"))


@lru_cache(maxsize=1)
def _plan(output: str) -> Plan:
    return Plan.model_validate_json(storage.locate(output).at(plan.PLAN).read())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

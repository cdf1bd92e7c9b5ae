"""Let one process of this machine at a time decide on a model's champion."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow

_SQLITE: Final = "sqlite:///"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other trainings and promotions of this machine waiting.

    MLflow sets an alias without looking at what it was. So whoever reads the champion, decides and
    sets it does so alone: with a local SQLite database that is certain. With a server, processes
    on other machines are not kept waiting; there the alias is read again just before it is set.
    The lock goes with its process, however that ends.

    Parameters
    ----------
    name
        The registered model's.
    """
    with _file(name).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _file(model: str) -> Path:
    uri = mlflow.get_tracking_uri()
    if uri.startswith(_SQLITE):
        return Path(f"{Path(uri.removeprefix(_SQLITE)).resolve()}.lock")
    name = hashlib.sha256(uri.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"{model}-{os.getuid()}-{name}.lock"

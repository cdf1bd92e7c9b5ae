"""The tracking store: whether it can be used from here, and its tables, made by one process alone.

MLflow is imported only where tables have to be made, because that takes seconds.
"""

import contextlib
import fcntl
import hashlib
import itertools
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mlflow_sealed import drivers

URI: Final = "MLFLOW_TRACKING_URI"
REGISTRY_URI: Final = "MLFLOW_REGISTRY_URI"

_EXPERIMENT: Final = "--experiment-name"
_IN_MEMORY: Final = ("sqlite://", "sqlite:///:memory:")
_SQLITE: Final = "sqlite:///"


def check(environ: Mapping[str, str]) -> None:
    """Check that the addresses of the tracking store and the registry can be used from here.

    Raises
    ------
    mlflow_sealed.drivers.DriverError
        If MLflow does not know an address, or its driver is not installed.
    OSError
        If a database of SQLite is missing, and its folder cannot be written to.
    """
    for name, address in _addresses(environ).items():
        drivers.check(address, name=name)
        _check_folder(address)


def prepare(environ: Mapping[str, str], *, experiment: str | None = None) -> None:
    """Check the tracking store and the registry, and make their tables where there are none.

    Several processes that find a new database at the same time all make its tables, and all but
    one of them fail; the same holds for an experiment. Here they wait for each other.

    Parameters
    ----------
    environ
        MLFLOW_TRACKING_URI, and MLFLOW_REGISTRY_URI if the registry is another one. Where neither
        is set, nothing is done.
    experiment
        An experiment that there has to be.

    Raises
    ------
    mlflow_sealed.drivers.DriverError, OSError
        As `check` says.
    """
    check(environ)
    found = _addresses(environ)
    for address in dict.fromkeys(found.values()):
        _make(address, experiment if address == found.get(URI) else None)


@contextlib.contextmanager
def locked(address: str, name: str = "mlflow") -> Iterator[None]:
    """Keep other processes of this machine waiting that ask for the same lock.

    With a local SQLite file it lies next to that, and is the same for every user and folder. The
    lock goes with its process, however that ends.

    Parameters
    ----------
    address
        Of a database, or of a server.
    name
        What is locked there; it counts for servers only.
    """
    with _lock_file(address, name).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare_for(command: Sequence[str], environ: Mapping[str, str]) -> None:
    """Prepare the store for a command, if that is MLflow's and of this environment.

    Raises
    ------
    mlflow_sealed.drivers.DriverError, OSError
        As `prepare` says; from MLflow itself it would be a traceback.
    """
    found = shutil.which(command[0], path=environ.get("PATH"))
    if found and Path(found) == Path(sys.executable).with_name("mlflow"):
        prepare(environ, experiment=_experiment(command))


def _experiment(command: Sequence[str]) -> str | None:
    """Return the experiment that a command names.

    Examples
    --------
    >>> _experiment(["mlflow", "run", ".", "--experiment-name", "one"])
    'one'
    """
    following = dict(itertools.pairwise(command))
    return following.get(_EXPERIMENT) or next(
        (each.partition("=")[2] for each in command if each.startswith(f"{_EXPERIMENT}=")), None
    )


def _addresses(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in (URI, REGISTRY_URI) if environ.get(name)}


def _check_folder(address: str) -> None:
    """Check that a SQLite file is there or can be made; MLflow tries for 100 seconds."""
    path = _sqlite(address)
    if path is None or path.exists():
        return
    try:
        with tempfile.TemporaryFile(dir=next(each for each in path.parents if each.exists())):
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _make(address: str, experiment: str | None) -> None:
    """Make the tables of a database, and an experiment, where they are missing."""
    is_database = drivers.scheme_of(address).partition("+")[0] in drivers.DATABASES
    if not is_database or address in _IN_MEMORY or _has(address, experiment):
        return
    if path := _sqlite(address):
        path.parent.mkdir(parents=True, exist_ok=True)  # as MLflow does
    with locked(address):
        if _has(address, experiment):
            return
        from mlflow import MlflowClient  # noqa: PLC0415 # seconds, once

        # That it makes tables, in two lines with the time, is not what a command was asked for.
        logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
        client = MlflowClient(address)
        if experiment and not client.get_experiment_by_name(experiment):
            client.create_experiment(experiment)
        client.search_experiments(max_results=1)


def _has(address: str, experiment: str | None) -> bool:
    """Return whether a SQLite file has an experiment, or any: that is made after all tables."""
    path = _sqlite(address)
    if path is None or not path.exists():
        return False
    query = "select count(*) from experiments where name = coalesce(?, name)"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute(query, (experiment,)).fetchone()[0])
    except sqlite3.Error:
        return False


def _sqlite(address: str) -> Path | None:
    if not address.startswith(_SQLITE):
        return None
    return Path(address.removeprefix(_SQLITE).partition("?")[0]).resolve()


def _lock_file(address: str, name: str) -> Path:
    if path := _sqlite(address):
        return Path(f"{path}.lock")
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}-{digest}.lock"

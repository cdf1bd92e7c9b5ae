"""Connect to Spark: which masters there are, and one line where one cannot be reached."""

import os
import re
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_sealed.batch import engine, java, spark_compat
from mlflow_sealed.batch.options import SPARK_HERE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL: Final = SPARK_HERE
"""The default master."""

GIVEN: Final = "given"
"""The master that is set already: by spark-submit, or by a managed Spark."""

TIMEOUT_S: Final = 120.0
"""How long a cluster may take to answer, and then to start a first executor, in seconds."""

PYTHON: Final = "./environment/bin/python"
"""The Python of a packed environment, in the executors of a cluster."""

_LEFT_OVER: Final = (
    *("PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"),
    *("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE"),
)
"""What shells and notebooks leave behind: it would start another Spark, or use another's."""

_QUICK: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For a Java that touches no row: to compile well would take the workers' time."""

_LOG: Final = Path(__file__).with_name("log4j2.properties")
_LOGGING: Final = f"-Dlog4j2.configurationFile={_LOG.as_uri()}"
_JAVA_OPTIONS: Final = "spark.driver.extraJavaOptions"
_PORTS: Final = {"spark": 7077, "k8s": 443}
_REACH_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1
_LOOPBACK: Final = re.compile(r"localhost|127\.\d+\.\d+\.\d+")


class MasterError(RuntimeError):
    """The master cannot be reached or used; the message says what was tried."""


@contextmanager
def connected(
    name: str,
    master: str = LOCAL,
    *,
    environment: Path | None = None,
    options: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator["SparkSession"]:
    """Give a session for the length of a ``with`` block.

    Parameters
    ----------
    name
        The application's name, as the cluster shows it.
    master
        ``local[…]``, ``spark://…``, ``yarn``, ``k8s://…`` or `GIVEN`.
    environment
        A packed environment (`mlflow_sealed.batch.environment`) for the executors' Python. Without
        one they use this Python (with a local master), or the nodes' own.
    options
        Settings of Spark, which override ours.
    timeout_s
        How long the cluster may take, in seconds.

    Raises
    ------
    mlflow_sealed.batch.engine.EngineError, mlflow_sealed.batch.java.JavaError
        If this machine has no pyspark or no Java.
    MasterError
        If the master cannot be reached, or gives no executor in time.
    """
    engine.ready()
    os.environ["JAVA_HOME"] = str(java.home())
    check_reachable(master)
    settings = {**_settings(master, environment), **(options or {})}
    with _set(_variables(master, environment)), warnings.catch_warnings():
        # The warning is about pandas 3; what training uses of it is tested.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        session = _made(name, master, settings, timeout_s)
        try:
            if not is_local(session.sparkContext.master):
                _wait_for_executor(session, master, timeout_s)
            yield session
        finally:
            _stop(session, master)


def quick(master: str) -> dict[str, str]:
    """Return the settings of a Spark whose Java has nothing to do but hand out work."""
    return {_JAVA_OPTIONS: f"{_LOGGING} {_QUICK}"} if is_local(master) else {}


def is_local(master: str) -> bool:
    """Return whether the executors are on this machine, within the driver.

    Examples
    --------
    >>> is_local("local[2]"), is_local("spark://head:7077")
    (True, False)
    """
    return master == "local" or master.startswith("local[")


def addresses(master: str) -> list[tuple[str, int]]:
    """Return the hosts and ports of a master that names some.

    Raises
    ------
    MasterError
        If it is no master at all.

    Examples
    --------
    >>> addresses("spark://one:7077,two"), addresses("k8s://https://api.example"), addresses("yarn")
    ([('one', 7077), ('two', 7077)], [('api.example', 443)], [])
    """
    kind, separator, places = master.partition("://")
    if not separator and (is_local(master) or master in {"yarn", GIVEN}):
        return []
    found = re.findall(r"(?:^|,)(?:https?://)?([^:/,]+)(?::(\d+))?(?=$|[,/])", places)
    if kind not in _PORTS or not found:
        raise MasterError(
            f"{master!r} is no master: expected local[*], spark://HOST:PORT, yarn, "
            f"k8s://https://HOST:PORT or {GIVEN}"
        )
    return [(host, int(port or _PORTS[kind])) for host, port in found]


def check_reachable(master: str) -> None:
    """Check that something listens at the master's address: Spark itself would wait for a minute.

    Raises
    ------
    MasterError
        If nothing does or, for YARN, no folder has the cluster's settings.
    """
    if master == "yarn" and not any(map(os.environ.get, ("HADOOP_CONF_DIR", "YARN_CONF_DIR"))):
        raise MasterError(
            "master yarn: set HADOOP_CONF_DIR to the folder of the cluster's settings"
        )
    places = addresses(master)
    faults = [fault for place in places if (fault := _unreachable(place))]
    if places and len(faults) == len(places):
        raise MasterError(f"the master {master} cannot be reached: {'; '.join(faults)}")


def _unreachable(place: tuple[str, int]) -> str | None:
    try:
        socket.create_connection(place, timeout=_REACH_S).close()
    except OSError as error:
        host, port = place
        return f"{host}:{port}: {error.strerror or error}"
    return None


def _settings(master: str, environment: Path | None) -> dict[str, str]:
    found = {
        _JAVA_OPTIONS: _LOGGING,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
    }
    if is_local(master) or any(_LOOPBACK.fullmatch(host) for host, _ in addresses(master)):
        # No other machine needs to reach it, or its page, which has no password.
        found["spark.driver.host"] = found["spark.driver.bindAddress"] = "127.0.0.1"
        found["spark.ui.enabled"] = "false"
    if environment is not None:
        found["spark.archives"] = f"{environment.resolve().as_uri()}#environment"
    return found


def _variables(master: str, environment: Path | None) -> dict[str, str | None]:
    """Return what the variables of this process have to be while Spark starts; None: not set.

    Spark reads them, and so do its processes. What is left over from another use would lead it
    elsewhere. A local Spark needs no name or address of this machine, which may not be resolved.
    """
    if master == GIVEN:
        return {}
    found: dict[str, str | None] = dict.fromkeys(_LEFT_OVER)
    if is_local(master):
        found |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
    if environment is not None:
        found["PYSPARK_PYTHON"] = PYTHON
    elif is_local(master):
        found["PYSPARK_PYTHON"] = sys.executable
    return found


@contextmanager
def _set(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of this process for the length of a ``with`` block."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _change(variables)
        yield
    finally:
        _change(before)


def _change(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _made(name: str, master: str, settings: Mapping[str, str], timeout_s: float) -> "SparkSession":
    from py4j.protocol import Py4JError  # noqa: PLC0415 # `engine.ready` finds it
    from pyspark.errors import PySparkException  # noqa: PLC0415 # likewise
    from pyspark.sql import SparkSession  # noqa: PLC0415 # likewise

    builder = SparkSession.builder.appName(name).config(map=dict(settings))
    if master != GIVEN:
        builder = builder.master(master)
    with _bounded(timeout_s) as too_late:
        try:
            return builder.getOrCreate()
        except (Py4JError, PySparkException, OSError) as error:
            if too_late.is_set():
                raise MasterError(
                    f"the master {master} did not take the application within {timeout_s:g} s"
                ) from None
            raise MasterError(f"no session with the master {master}: {said(error)}") from None


def said(error: Exception) -> str:
    """Return the first line of the message of Spark's error, without Java's names around it."""
    java_error = getattr(error, "java_exception", None)
    text = str(java_error.getMessage()) if java_error is not None else str(error)
    return next(iter(text.strip().splitlines()), type(error).__name__)


@contextmanager
def _bounded(timeout_s: float) -> Iterator[threading.Event]:
    """End the process of Java if a ``with`` block takes too long, which would wait for ever.

    The event that the block gets is set then.
    """
    left, too_late = threading.Event(), threading.Event()

    def watch() -> None:
        if left.wait(timeout_s):
            return
        too_late.set()
        while not (process := spark_compat.java_process()) and not left.wait(_LOOK_EVERY_S):
            pass
        if process:
            process.kill()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield too_late
    finally:
        left.set()
        watching.join()
        if too_late.is_set():
            spark_compat.end_java()


def _wait_for_executor(session: "SparkSession", master: str, timeout_s: float) -> None:
    """Wait for the first executor: a job without any would wait for ever."""
    deadline = time.monotonic() + timeout_s
    while not spark_compat.count_executors(session):
        if time.monotonic() > deadline:
            raise MasterError(
                f"the master {master} gave no executor within {timeout_s:g} s: it has no room, or "
                "its nodes cannot reach this machine"
            )
        time.sleep(_LOOK_EVERY_S)


def _stop(session: "SparkSession", master: str) -> None:
    if master != GIVEN:
        session.stop()

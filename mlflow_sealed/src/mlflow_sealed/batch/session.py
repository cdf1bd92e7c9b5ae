"""Connect to Spark: one place that knows masters, and gives one line where there is none."""

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
from typing import TYPE_CHECKING, Any, Final

from mlflow_sealed.batch import engine, java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL: Final = "local[*]"
"""The default master: this machine, all of its cores."""

GIVEN: Final = "given"
"""The master that the surroundings give: spark-submit's, or that of a managed Spark."""

TIMEOUT_S: Final = 120.0
"""How long a cluster may take to answer, and then to give a first executor."""

PYTHON: Final = "./environment/bin/python"
"""Where the executors of a cluster have the Python of a packed environment."""

_LOG: Final = Path(__file__).with_name("log4j2.properties")
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
        Of the application, as the cluster shows it.
    master
        ``local[…]``, ``spark://…``, ``yarn``, ``k8s://…`` or `GIVEN`.
    environment
        A packed environment (`mlflow_sealed.batch.environment`) for the executors' Python. Without one they use
        this Python (a local master), or the nodes' own.
    options
        Settings of Spark; they go before ours.
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
    with _python(master, environment), warnings.catch_warnings():
        # Of pandas 3: what is used of it, in training alone, is tested.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        session = _made(name, master, settings, timeout_s)
        try:
            if not is_local(session.sparkContext.master):
                _wait_for_executor(session, master, timeout_s)
            yield session
        finally:
            _stop(session, master)


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
    """Look whether somebody listens where the master is: Spark itself would wait for a minute.

    Raises
    ------
    MasterError
        If nobody does or, for YARN, no folder says where it is.
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
    logging = f"-Dlog4j2.configurationFile={_LOG.as_uri()}"
    found = {
        "spark.driver.extraJavaOptions": logging,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
    }
    if is_local(master) or any(_LOOPBACK.fullmatch(host) for host, _ in addresses(master)):
        # Nobody else can reach it, nor its page, which has no password.
        found["spark.driver.host"] = found["spark.driver.bindAddress"] = "127.0.0.1"
        found["spark.ui.enabled"] = "false"
    if environment is not None:
        found["spark.archives"] = f"{environment.resolve().as_uri()}#environment"
    return found


@contextmanager
def _python(master: str, environment: Path | None) -> Iterator[None]:
    """Say for the length of a ``with`` block which Python the executors are to start.

    Spark asks the environment of the driver for it.
    """
    before = os.environ.get("PYSPARK_PYTHON")
    if environment is not None:
        os.environ["PYSPARK_PYTHON"] = PYTHON
    elif is_local(master):
        os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        yield
    finally:
        os.environ.pop("PYSPARK_PYTHON", None)
        if before is not None:
            os.environ["PYSPARK_PYTHON"] = before


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
    """Return the first line of what an error of Spark's says, without Java's names around it."""
    java_error = getattr(error, "java_exception", None)
    text = str(java_error.getMessage()) if java_error is not None else str(error)
    return next(iter(text.strip().splitlines()), type(error).__name__)


def end_java() -> None:
    """End the process of Java that pyspark keeps for the next session, if there is one.

    It ends with this process by itself.
    """
    from pyspark import SparkContext  # noqa: PLC0415 # `engine.ready` finds it

    gateway: Any = SparkContext._gateway  # noqa: SLF001 # pyspark has no public way to it
    process = _java_process()
    if process is not None:
        gateway.close()
        process.kill()
        process.wait()
        process.stdin.close()
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 # likewise


@contextmanager
def _bounded(timeout_s: float) -> Iterator[threading.Event]:
    """End the Java process if a ``with`` block takes too long: nothing else ends its waiting.

    The event that is given is set then.
    """
    left, too_late = threading.Event(), threading.Event()

    def watch() -> None:
        if left.wait(timeout_s):
            return
        too_late.set()
        while not (process := _java_process()) and not left.wait(_LOOK_EVERY_S):
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
            end_java()


def _java_process() -> Any:
    """Return the process of Java, if pyspark has started it: it has no public way to it."""
    from pyspark import SparkContext  # noqa: PLC0415 # `engine.ready` finds it

    return getattr(SparkContext._gateway, "proc", None)  # noqa: SLF001


def _wait_for_executor(session: "SparkSession", master: str, timeout_s: float) -> None:
    """Wait until one executor has come: a job without any would wait for good."""
    context: Any = session.sparkContext._jsc.sc()  # noqa: SLF001 # pyspark has no public way to it
    deadline = time.monotonic() + timeout_s
    while context.getExecutorMemoryStatus().size() < 2:  # noqa: PLR2004 # the driver is one
        if time.monotonic() > deadline:
            raise MasterError(
                f"the master {master} gave no executor within {timeout_s:g} s: it has no room, or "
                "its nodes cannot reach this machine"
            )
        time.sleep(_LOOK_EVERY_S)


def _stop(session: "SparkSession", master: str) -> None:
    if master != GIVEN:
        session.stop()

"""What pyspark has no public way to: its process of Java, and the executors that it has.

tests/mlflow_sealed/batch/test_spark_compat.py fails when pyspark changes underneath. Each function
needs `mlflow_sealed.batch.engine.ready` first, which makes pyspark importable.
"""

from subprocess import Popen
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def java_process() -> Popen[bytes] | None:
    """Return the process of Java, if pyspark has started one in this process."""
    gateway = _context()._gateway  # noqa: SLF001 # see above
    process: Popen[bytes] | None = gateway.proc if gateway is not None else None
    return process


def end_java() -> None:
    """End the process of Java that pyspark keeps for the next session, if there is one.

    It ends with this process by itself.
    """
    context, process = _context(), java_process()
    if process is not None:
        context._gateway.close()  # noqa: SLF001 # see above
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    context._gateway = context._jvm = None  # noqa: SLF001 # see above


def count_executors(session: "SparkSession") -> int:
    """Return how many executors an application has; with a local master, none."""
    context: Any = session.sparkContext._jsc.sc()  # noqa: SLF001 # see above
    return int(context.getExecutorMemoryStatus().size()) - 1  # the driver is one of these


def _context() -> Any:
    from pyspark import SparkContext  # noqa: PLC0415 # see above

    return SparkContext

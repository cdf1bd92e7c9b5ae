"""The private parts of pyspark that are used: this fails when they change."""

import pytest

from mlflow_sealed.batch import session, spark_compat


@pytest.mark.usefixtures("pyspark", "user")
def test_the_process_of_java_is_found_and_ended_and_the_next_session_has_another() -> None:
    pids = []
    for _ in range(2):
        with session.connected("compat", "local[1]") as spark:
            process = spark_compat.java_process()
            assert process is not None
            assert process.poll() is None
            assert spark_compat.count_executors(spark) == 0
            pids.append(process.pid)
        assert process.poll() is None  # it is kept for the next session
        spark_compat.end_java()
        assert process.poll() is not None
        assert spark_compat.java_process() is None
    assert pids[0] != pids[1]


@pytest.mark.usefixtures("pyspark", "user")
def test_to_end_java_twice_is_no_error() -> None:
    for _ in range(2):
        spark_compat.end_java()
    assert spark_compat.java_process() is None

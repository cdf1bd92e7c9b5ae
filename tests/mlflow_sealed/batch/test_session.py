"""Masters: which there are, and one line where one cannot be reached."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.batch import session
from mlflow_sealed.batch.session import GIVEN, MasterError
from tests.mlflow_sealed.batch.conftest import Registry


@pytest.mark.parametrize(
    "master",
    ["", "spark://", "spark:host:7077", "http://host", "localhost", "k8s://", "mesos://h:1"],
)
def test_what_is_no_master_is_one_line_that_says_what_is(master: str) -> None:
    with pytest.raises(MasterError, match=r"is no master: expected local\[\*\], spark://HOST:PORT"):
        session.check_reachable(master)


@pytest.mark.services
@pytest.mark.parametrize("kind", ["spark://127.0.0.1", "k8s://https://127.0.0.1"])
def test_a_master_that_does_not_listen_is_one_line_at_once(kind: str) -> None:
    before = time.monotonic()
    with pytest.raises(MasterError, match=r"cannot be reached: 127.0.0.1:\d+: Connection refused$"):
        session.check_reachable(f"{kind}:{process.free_port()}")
    assert time.monotonic() - before < 5


def test_a_host_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(MasterError, match="cannot be reached: nowhere.invalid:7077: "):
        session.check_reachable("spark://nowhere.invalid")


@pytest.mark.services
def test_one_master_of_several_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        session.check_reachable(f"spark://127.0.0.1:{process.free_port()},127.0.0.1:{port}")


def test_yarn_needs_the_settings_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MasterError, match="^master yarn: set HADOOP_CONF_DIR"):
        session.check_reachable("yarn")
    monkeypatch.setenv("YARN_CONF_DIR", "/etc/hadoop/conf")
    session.check_reachable("yarn")


@pytest.mark.usefixtures("pyspark")
def test_a_local_spark_needs_no_name_of_the_machine_and_no_left_over_variable(
    user: Registry, tmp_path: Path
) -> None:
    code = (
        "from mlflow_sealed.batch import session\n"
        "options = session.quick('local[1]')\n"
        "with session.connected('local', 'local[1]', options=options) as spark:\n"
        "    print(spark.sparkContext.parallelize([1, 2], 2).sum())\n"
    )
    left_over = {
        "PYSPARK_SUBMIT_ARGS": "--master yarn --no-such-option pyspark-shell",
        "PYSPARK_GATEWAY_PORT": "1",
        "PYSPARK_GATEWAY_SECRET": "x",
        "SPARK_REMOTE": "sc://127.0.0.1:1",
        "SPARK_CONNECT_MODE_ENABLED": "1",
        "SPARK_API_MODE": "connect",
        "SPARK_LOCAL_IP": "192.0.2.1",
        "SPARK_LOCAL_HOSTNAME": "nowhere.invalid",
    }
    done = subprocess.run(
        [
            *("unshare", "--uts", "sh", "-c", 'hostname nowhere-known && exec "$@"', "sh"),
            *(sys.executable, "-c", code),
        ],
        env={**user.environ, **left_over},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "you must be root" in done.stderr:
        pytest.skip("only root may give a process another host name")
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


@pytest.mark.parametrize("master", ["local", "local[2]", "local[*]", GIVEN])
def test_some_masters_have_no_address(master: str) -> None:
    assert session.addresses(master) == []


@pytest.mark.usefixtures("pyspark", "user")
def test_a_master_that_listens_and_says_nothing_is_one_line_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        never = session.connected(
            "never", f"spark://127.0.0.1:{silent.getsockname()[1]}", timeout_s=10
        )
        with pytest.raises(MasterError, match="did not take the application within 10 s"):
            never.__enter__()
    assert "PYSPARK_PYTHON" not in os.environ


@pytest.mark.usefixtures("pyspark")
def test_a_local_session_listens_on_this_machine_alone(user: Registry, tmp_path: Path) -> None:
    del user
    before = set(tmp_path.iterdir())
    with session.connected("local", "local[1]") as spark:
        settings = dict(spark.sparkContext.getConf().getAll())
        assert settings["spark.driver.host"] == settings["spark.driver.bindAddress"] == "127.0.0.1"
        assert spark.sparkContext.uiWebUrl is None
        assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
        assert spark.range(5).count() == 5
    assert set(tmp_path.iterdir()) == before

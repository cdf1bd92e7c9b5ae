"""The marker `services`: a test that lacks it fails as soon as it uses a service."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.environ import ROOT

TESTS = """
import contextlib, pathlib, socket, subprocess, pytest

def connects():
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()

@pytest.fixture
def server():
    connects()

def test_that_connects():
    connects()

def test_that_connects_in_a_fixture(server):
    pass

def test_that_runs_docker(tmp_path):
    docker = tmp_path / "docker"
    docker.symlink_to("/bin/true")
    subprocess.run([str(docker)], check=True)

@pytest.mark.services
def test_that_says_so():
    connects()

def test_that_needs_nothing():
    subprocess.run(["true"], check=True)
    a, b = socket.socketpair()
    a.close(), b.close()
"""


def test_a_test_that_uses_a_service_and_lacks_the_marker_fails(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    options = ["-rA", "--rootdir=.", "-c", "none.ini", "--basetemp=base", "-p", "tests.services"]
    (tmp_path / "none.ini").write_text(
        "[pytest]\nmarkers =\n  services\n  slow\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.findall(r"^(PASSED|FAILED|ERROR) test_it.py::(\w+)(.*)$", done.stdout, re.MULTILINE)
    server = " - Failed: uses the server at 127.0.0.1:9: give it the marker services"
    assert sorted(said, key=lambda each: each[1]) == [
        ("FAILED", "test_that_connects", server),
        ("ERROR", "test_that_connects_in_a_fixture", server),
        ("PASSED", "test_that_needs_nothing", ""),
        ("FAILED", "test_that_runs_docker", server.replace("the server at 127.0.0.1:9", "docker")),
        ("PASSED", "test_that_says_so", ""),
    ]

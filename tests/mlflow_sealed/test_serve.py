"""What `mlflow-sealed serve` gives its server: where it listens, no login, and which Python."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from mlflow_sealed import process, surroundings
from mlflow_sealed.feed import commands, credential
from mlflow_sealed.serve import interpreter, settings
from mlflow_sealed.server.run.listening import address

FOREIGN = {
    "HOST": "x86_64-conda-linux-gnu",
    "PORT": "3000",
    "AIP_HTTP_PORT": "8080",
    "SAGEMAKER_BIND_TO_PORT": "8081",
}
"""What conda, shells and platforms export for other purposes."""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ("127.0.0.1", 5000)),
        ({"SCORING_LISTEN_HOST": "", "SCORING_LISTEN_PORT": ""}, ("127.0.0.1", 5000)),
        ({"SCORING_LISTEN_PORT": "5002"}, ("127.0.0.1", 5002)),
        ({"SCORING_LISTEN_HOST": "::1"}, ("::1", 5000)),
    ],
)
@pytest.mark.parametrize("foreign", [{}, FOREIGN], ids=["clean", "with others' variables"])
def test_it_listens_where_its_own_variables_say(
    own: dict[str, str], expected: tuple[str, int], foreign: dict[str, str]
) -> None:
    assert address(settings({**foreign, **own})) == expected


def test_control_the_server_itself_obeys_them_as_in_a_container() -> None:
    assert address({"PORT": FOREIGN["PORT"]}) == ("0.0.0.0", 3000)  # noqa: S104 # compared


LOGINS = {
    **dict.fromkeys(surroundings.SOURCES, "s3cret"),
    **dict.fromkeys(
        (
            *("UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_INDEX_MINE_PASSWORD", "PIP_FIND_LINKS"),
            *("UV_PUBLISH_TOKEN", "UV_PUBLISH_PASSWORD", "PYPIRC_PATH", "HATCH_INDEX_AUTH"),
            *("VSS_NUGET_EXTERNAL_FEED_ENDPOINTS", "SYSTEM_ACCESSTOKEN", "NETRC"),
        ),
        "s3cret",
    ),
}
"""Every variable that may have a login to a feed."""

OTHER_LOGINS = {
    "MLFLOW_TRACKING_PASSWORD": "s3cret",
    "MLFLOW_TRACKING_URI": "https://me:s3cret@tracking.example",
    "MLFLOW_REGISTRY_URI": "postgresql://me:s3cret@db.example/mlflow",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=s3cret",
    "DATABRICKS_TOKEN": "s3cret",
    "HTTPS_PROXY": "http://me:s3cret@proxy.example:8080",
    "DATABASES": '{"one": "mysql+pymysql://me:s3cret@db.example/x"}',
}
KEPT = {
    "SCORING_API_KEYS": "s3cret",
    "OMP_NUM_THREADS": "2",
    "LANG": "C.UTF-8",
    "UV_CACHE_DIR": "c",
}


def test_the_server_gets_no_login_and_keeps_its_settings() -> None:
    given = {**LOGINS, **OTHER_LOGINS, **KEPT, "PYTHONPATH": "/elsewhere"}
    assert surroundings.of_a_server(given) == KEPT


def test_feed_drop_leaves_no_login_to_a_feed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**LOGINS, **OTHER_LOGINS}.items():
        monkeypatch.setenv(name, value)
    show = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
    assert commands.main(["drop", "--", sys.executable, "-c", show, str(tmp_path / "seen")]) == 0
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen.keys() & LOGINS.keys() == set()
    assert OTHER_LOGINS.items() <= seen.items()  # `mlflow models serve` gets its model with it
    assert credential.removed(os.environ).keys() & LOGINS.keys() == set()


def test_this_python_is_used_whatever_its_patch_release(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert interpreter(version) == sys.executable
    venv = ("uv", "venv", "--quiet", "--python", interpreter(version), str(tmp_path / "made"))
    process.run(venv, hint="")
    assert f"version_info = {version}" in (tmp_path / "made/pyvenv.cfg").read_text()


def test_no_interpreter_is_downloaded(tmp_path: Path) -> None:
    uv = str(shutil.which("uv"))
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "UV_PYTHON_DOWNLOADS": "automatic"}
    command = (uv, "venv", "--python", interpreter("3.8"), str(tmp_path / "made"))
    done = process.captured(command, env=environ)
    assert done.returncode != 0
    assert "downloads are set to 'never'" in " ".join(done.stderr.split())
    assert not (tmp_path / "made").exists()

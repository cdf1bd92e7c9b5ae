"""The DOCKER_CONFIG folder: the user's own, with our plugin as the builder."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.image import docker_config
from mlflow_sealed.image.plugin import NAME
from tests.conftest import PROJECT
from tests.environ import ROOT

LOCK = PROJECT.lock("server")
LOGIN = {"auths": {"registry.example": {"auth": "bWU6czNjcmV0"}}, "credHelpers": {"a": "b"}}


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's own folder, with a login, a context and a plugin."""
    folder = tmp_path / "user"
    (folder / "contexts" / "meta").mkdir(parents=True)
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-compose").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "config.json").write_text(
        json.dumps({**LOGIN, "aliases": {"other": "mine"}}), encoding="utf-8"
    )
    return folder


def _make(user: Path, tmp_path: Path) -> Path:
    return docker_config.make({"DOCKER_CONFIG": str(user)}, LOCK, tmp_path / "cache" / "ours")


def test_logins_helpers_and_aliases_are_kept_and_the_builder_is_added(
    user: Path, tmp_path: Path
) -> None:
    found = json.loads((_make(user, tmp_path) / "config.json").read_text(encoding="utf-8"))
    assert found == {**LOGIN, "aliases": {"other": "mine", "builder": NAME}}


def test_only_its_owner_can_read_the_logins(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    assert ours.stat().st_mode & 0o777 == 0o700
    assert (ours / "config.json").stat().st_mode & 0o777 == 0o600


def test_contexts_and_plugins_are_there(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    assert (ours / "contexts" / "meta").is_dir()
    assert (ours / "cli-plugins" / "docker-compose").read_text(encoding="utf-8") == "#!/bin/sh\n"


def test_the_users_own_folder_is_not_changed(user: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in user.rglob("*")}
    _make(user, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in user.rglob("*")} == before


def test_it_can_be_made_again_from_itself(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    config = json.loads((user / "config.json").read_text(encoding="utf-8"))
    config["auths"]["second.example"] = {}
    (user / "config.json").write_text(json.dumps(config), encoding="utf-8")
    again = docker_config.make({"DOCKER_CONFIG": str(ours)}, LOCK, ours)
    found = json.loads((again / "config.json").read_text(encoding="utf-8"))
    assert set(found["auths"]) == {"registry.example", "second.example"}
    assert (ours / "contexts").resolve() == (user / "contexts").resolve()


def test_a_user_without_a_configuration_gets_one(tmp_path: Path) -> None:
    found = json.loads((_make(tmp_path / "absent", tmp_path) / "config.json").read_text("utf-8"))
    assert found == {"aliases": {"builder": NAME}}


@pytest.mark.parametrize("text", ['{"auths": {"x": {"auth": "c2VjcmV0"', '["c2VjcmV0"]'])
def test_a_broken_configuration_is_one_line_without_its_content(
    user: Path, tmp_path: Path, text: str
) -> None:
    (user / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        process.ProcessError, match=r"config\.json is not .*JSON.*: repair"
    ) as error:
        _make(user, tmp_path)
    assert "c2VjcmV0" not in str(error.value)


def test_the_plugin_imports_nothing_from_the_folder_of_the_build(
    user: Path, tmp_path: Path
) -> None:
    plugin = _make(user, tmp_path) / "cli-plugins" / f"docker-{NAME}"
    (tmp_path / "json.py").write_text("raise SystemExit(99)", encoding="utf-8")
    (tmp_path / "mlflow_sealed").mkdir()
    (tmp_path / "mlflow_sealed" / "__init__.py").write_text(
        "raise SystemExit(99)", encoding="utf-8"
    )
    done = subprocess.run(
        [plugin, "docker-cli-plugin-metadata"], cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["SchemaVersion"] == "0.1.0"


def test_one_line_gives_it_to_a_shell(user: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m mlflow_sealed.cli image config"
    shown = subprocess.run(
        ["bash", "-c", f"export DOCKER_CONFIG=$({command}) && ls $DOCKER_CONFIG/cli-plugins"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(user)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == ["docker-compose", f"docker-{NAME}"]

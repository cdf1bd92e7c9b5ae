"""The DOCKER_CONFIG folder: the user's own, with our plugin as the builder."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from mlflow_sealed import process
from mlflow_sealed.image import docker_config
from mlflow_sealed.image.plugin import NAME
from tests import services
from tests.conftest import PROJECT
from tests.environ import ROOT

LOCK = PROJECT.lock("server")
LOGIN: Final[dict[str, Any]] = {
    "auths": {"registry.example": {"auth": "bWU6czNjcmV0"}},
    "credHelpers": {"a": "b"},
}


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


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def _change(folder: Path, section: str, **settings: object) -> None:
    """Change a section of a config.json as docker does; None removes a setting."""
    config = _config(folder)
    changed = {**config.get(section, {}), **settings}
    config[section] = {key: value for key, value in changed.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("in_ours", "in_users", "expected"),
    [
        pytest.param({"b": 1}, {}, {"a": 0, "b": 1}, id="a login in ours stays"),
        pytest.param({"a": 1}, {}, {"a": 1}, id="a newer login in ours stays"),
        pytest.param({"a": None}, {}, {}, id="a logout in ours stays"),
        pytest.param({}, {"b": 1}, {"a": 0, "b": 1}, id="a login in the user's own comes"),
        pytest.param({}, {"a": 1}, {"a": 1}, id="a newer one too"),
        pytest.param({}, {"a": None}, {}, id="a logout too"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="the user's own counts first"),
        pytest.param({"a": 1}, {"a": None}, {}, id="a logout there too"),
        pytest.param({"b": 1}, {"c": 2}, {"a": 0, "b": 1, "c": 2}, id="one in each"),
    ],
)
def test_logins_and_logouts_in_either_folder_are_kept(
    user: Path, tmp_path: Path, in_ours: dict[str, Any], in_users: dict[str, Any], expected: object
) -> None:
    (user / "config.json").write_text('{"auths": {"a": 0}}', encoding="utf-8")
    ours = _make(user, tmp_path)
    _change(ours, "auths", **in_ours)
    _change(user, "auths", **in_users)
    for _ in range(3):  # and stay so
        docker_config.make({"DOCKER_CONFIG": str(ours)}, LOCK, ours)
        assert _config(ours).get("auths", {}) == expected
        assert _config(ours)["aliases"] == {"builder": NAME}


def test_a_login_stays_in_a_folder_that_an_earlier_version_made(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    (ours / ".seen").unlink()
    _change(ours, "auths", **{"second.example": {"auth": "eA=="}})
    _make(user, tmp_path)
    assert set(_config(ours)["auths"]) == {"registry.example", "second.example"}


def test_what_docker_puts_in_the_folder_stays(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    (ours / "buildx").mkdir()
    (ours / "buildx" / "current").write_text("mine", encoding="utf-8")
    (ours / "cli-plugins" / "docker-new").write_text("#!/bin/sh\n", encoding="utf-8")
    _make(user, tmp_path)
    assert (ours / "buildx" / "current").read_text(encoding="utf-8") == "mine"
    assert (ours / "cli-plugins" / "docker-new").is_file()


def test_what_the_users_own_folder_no_longer_has_goes(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    (user / "cli-plugins" / "docker-compose").unlink()
    _make(user, tmp_path)
    assert [path.name for path in (ours / "cli-plugins").iterdir()] == [f"docker-{NAME}"]
    _make(tmp_path / "another", tmp_path)
    assert not (ours / "contexts").is_symlink()
    assert _config(ours) == {"aliases": {"builder": NAME}}


def test_a_login_that_has_ended_is_in_no_file(user: Path, tmp_path: Path) -> None:
    ours = _make(user, tmp_path)
    secret = LOGIN["auths"]["registry.example"]["auth"].encode()
    assert secret in (ours / "config.json").read_bytes()
    _change(ours, "auths", **{"registry.example": None})
    assert not [path for path in ours.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_two_at_the_same_moment_make_the_same_folder(user: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mlflow_sealed.image import docker_config\n"
        "for _ in range(40):\n"
        "    docker_config.make({'DOCKER_CONFIG': sys.argv[1]}, Path('lock'), Path(sys.argv[2]))\n"
    )
    ours = _make(user, tmp_path)
    command = [sys.executable, "-c", script, str(ours), str(ours)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    while any(each.poll() is None for each in both):
        assert _config(ours)["auths"] == LOGIN["auths"]  # at every moment
    assert [each.communicate()[1] for each in both] == ["", ""]
    assert not list(ours.rglob("*.part"))


def test_a_folder_that_is_gone_is_not_taken_for_the_users_own(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin would hand builds to a docker whose builder it is, without end."""
    monkeypatch.setenv("HOME", str(tmp_path))
    user.rename(tmp_path / ".docker")
    ours = tmp_path / "ours"
    docker_config.make({"DOCKER_CONFIG": str(ours)}, LOCK, ours)
    assert _config(ours)["auths"] == LOGIN["auths"]
    plugin = (ours / "cli-plugins" / f"docker-{NAME}").read_text(encoding="utf-8")
    assert f" {tmp_path}/.docker " in plugin


def test_a_folder_that_cannot_be_made_is_one_line(user: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(process.ProcessError, match=r"cannot be made \(Not a directory\): free"):
        _make(user, tmp_path)


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


@pytest.mark.services
def test_one_line_gives_it_to_a_shell(user: Path) -> None:
    services.need("docker")
    command = f"{shlex.quote(sys.executable)} -m mlflow_sealed.cli image config"
    shown = subprocess.run(
        ["bash", "-c", f"export DOCKER_CONFIG=$({command}) && ls $DOCKER_CONFIG/cli-plugins"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(user)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == ["docker-compose", f"docker-{NAME}"]

"""Each tool does the same whatever its variables say: the same hashes, place and sources."""

import argparse
import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest.mock import patch

import pytest
from pip._internal.commands import create_command
from twine.settings import Settings

from mlflow_sealed import process, surroundings
from tests.mlflow_sealed.documented_variables import documented, names, redirecting, write

UV = {
    "MLflow's uv pip install": ("pip", "install", "-r", "one.txt"),
    "uv pip sync": ("pip", "sync", "--require-hashes", "one.txt"),
    "uv pip compile": ("pip", "compile", "one.txt"),
    "uv venv": ("venv", "made"),
}
HASHES = ("UV_NO_VERIFY_HASHES", "UV_CONFIG_FILE")
TARGETS = ("UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_PYTHON_PREFERENCE")
SOURCES = (
    *("UV_EXCLUDE_NEWER", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_OFFLINE"),
    *("UV_PRERELEASE", "UV_RESOLUTION", "UV_TORCH_BACKEND", "UV_CONSTRAINT"),
)
PIP = ("install", "download", "wheel")
NOT_DECISIVE = re.compile(r"\s*(link_mode|compile_bytecode|keyring_provider|tv_n?sec): .*")


def clean() -> dict[str, str]:
    """The surroundings of a user who has set no variable of a tool's."""
    tools = ("SSL_CERT", *surroundings.TOOLS)
    return {name: value for name, value in os.environ.items() if not name.startswith(tools)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the values of the variables name; the current folder is another one."""
    for name in ("named", "current"):
        (tmp_path / name).mkdir()
    write(tmp_path / "named")
    (tmp_path / "current" / "one.txt").write_text("six==1.10.0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "named"


def uv_settings(kind: str, environ: Mapping[str, str], *, guarded: bool = True) -> str:
    """All that uv has made of its surroundings, its configuration files and its options."""
    command = ["uv", "--show-settings", *UV[kind]]
    with patch.object(surroundings, "environment", surroundings.environment if guarded else dict):
        done = process.captured(command, env=environ)
    return "\n".join(line for line in done.stdout.splitlines() if not NOT_DECISIVE.match(line))


@pytest.mark.parametrize("kind", UV)
def test_uv_is_set_the_same_with_all_of_them(kind: str, folder: Path) -> None:
    expected = uv_settings(kind, clean())
    assert "Settings {" in expected
    assert uv_settings(kind, {**clean(), **redirecting(folder)}) == expected


@pytest.mark.parametrize("name", [*HASHES, *TARGETS, *SOURCES])
def test_without_us_one_of_them_is_enough(name: str, folder: Path) -> None:
    """The control."""
    value = documented(folder, kept=False)[name]
    kind = "uv venv" if name == "UV_PYTHON_PREFERENCE" else "MLflow's uv pip install"
    unset = uv_settings(kind, clean(), guarded=False)
    assert uv_settings(kind, {**clean(), name: value}, guarded=False) != unset


def test_what_a_child_gets_of_uv_s_decides_nothing(folder: Path) -> None:
    kind = "MLflow's uv pip install"
    expected = uv_settings(kind, clean()).partition("PipSettings")[2]
    assert "hash_checking: Some(\n            Require" in expected
    given = documented(folder, kept=True)
    harmless = {name: given[name] for name in given if name in surroundings.HARMLESS}
    assert len(harmless) > 20
    assert uv_settings(kind, {**clean(), **harmless}).partition("PipSettings")[2] == expected


def test_the_table_has_every_variable_that_uv_names() -> None:
    said = "".join(
        process.captured(["uv", "help", "--no-pager", *kind], env=clean()).stdout
        for kind in (["pip", "install"], ["pip", "sync"], ["pip", "compile"], ["venv"], ["publish"])
    )
    assert set(re.findall(r"\[env: (UV_\w+)=", said)) - names("UV_") == set()


def pip_options(command: str, environ: Mapping[str, str]) -> dict[str, str]:
    with patch.dict(os.environ, environ, clear=True):
        parser = create_command(command).parser
        options, _ = parser.parse_args([])
    return {name: repr(value) for name, value in vars(options).items()}


@pytest.mark.parametrize("command", PIP)
def test_pip_has_the_same_options_with_all_of_them(command: str, folder: Path) -> None:
    hostile = {**clean(), **documented(folder, kept=False)}
    expected = pip_options(command, surroundings.environment(clean()))
    assert pip_options(command, surroundings.environment(hostile)) == expected


@pytest.mark.parametrize(
    "name", sorted(name for name in names("PIP_") if surroundings.is_dropped(name))
)
def test_without_us_each_one_changes_an_option_of_pip_s(name: str, folder: Path) -> None:
    """The control."""
    hostile = {**clean(), name: documented(folder, kept=False)[name]}
    assert any(pip_options(each, hostile) != pip_options(each, clean()) for each in PIP)


def twine_options(environ: Mapping[str, str]) -> dict[str, object]:
    with patch.dict(os.environ, environ, clear=True):
        parser = argparse.ArgumentParser()
        Settings.register_argparse_arguments(parser)
        return vars(parser.parse_args([]))


def test_twine_has_the_same_options_with_all_of_them(folder: Path) -> None:
    hostile = {**clean(), **documented(folder, kept=False)}
    expected = twine_options(clean())
    assert twine_options(surroundings.environment(hostile)) == expected
    assert twine_options(hostile) != expected  # the control


@dataclass(frozen=True)
class RecordingIndex:
    """An index of one wheel, which writes down what it is asked for."""

    url: str
    asked: list[str]
    sha256: str


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RecordingIndex]:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    info = "thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    page = f'<a href="/{wheel.name}#sha256={digest}">{wheel.name}</a>'.encode()
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.path)
            body = {"/simple/thing/": page, f"/{wheel.name}": content}.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield RecordingIndex(f"http://127.0.0.1:{server.server_port}/simple/", asked, digest)
        server.shutdown()


CHILDREN = {
    "MLflow's uv pip install": ("uv", "pip", "install", "-r", "thing.txt"),
    "uv pip sync": ("uv", "pip", "sync", "--require-hashes", "thing.txt"),
    "uv pip compile": ("uv", "pip", "compile", "--generate-hashes", "-o", "lock.txt", "thing.txt"),
    "uv venv": ("uv", "venv", "made"),
    "pip download": (sys.executable, "-m", "pip", "download", "--dest", "got", "-r", "thing.txt"),
}


def run(
    kind: str, folder: Path, index: RecordingIndex, hostile: Mapping[str, str]
) -> tuple[int, list[str], list[str]]:
    """Run a child in a new folder and return its status, what it asked for and what it made."""
    folder.mkdir()
    uv = ["uv", "venv", "--quiet", "--python", sys.executable]
    for name in ("active", "other"):
        assert process.captured([*uv, str(folder / name)], env=clean()).returncode == 0
    pin = f"thing==1.0 --hash=sha256:{index.sha256}\n"
    (folder / "thing.txt").write_text(pin, encoding="utf-8")
    before = set(folder.rglob("*"))
    given = {
        **clean(),
        **hostile,
        "VIRTUAL_ENV": str(folder / "active"),
        "PIP_INDEX_URL": index.url,
        "UV_DEFAULT_INDEX": index.url,
        "UV_CACHE_DIR": str(folder.parent / f"{folder.name}-cache"),
        "PIP_NO_CACHE_DIR": "1",
        "UV_HTTP_RETRIES": "0",  # the control asks an index that is not there
    }
    index.asked.clear()
    command = ["env", f"--chdir={folder}", *CHILDREN[kind]]
    status = process.captured(command, env=given).returncode
    made = sorted(str(path.relative_to(folder)) for path in set(folder.rglob("*")) - before)
    return status, sorted(index.asked), made


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHILDREN)
def test_the_same_is_installed_in_the_same_place_from_the_same_index(
    kind: str, tmp_path: Path, index: RecordingIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    hostile = {**redirecting(elsewhere), "UV_PYTHON": str(tmp_path / "with" / "other")}
    expected = run(kind, tmp_path / "without", index, {})
    assert expected[0] == 0
    assert expected[1] or kind == "uv venv"
    assert run(kind, tmp_path / "with", index, hostile) == expected
    monkeypatch.setattr(surroundings, "environment", dict)
    hostile["UV_PYTHON"] = str(tmp_path / "control" / "other")
    assert run(kind, tmp_path / "control", index, hostile) != expected

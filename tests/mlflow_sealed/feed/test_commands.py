"""The feed's commands, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import access, upload_address
from mlflow_sealed.feed import commands as command
from mlflow_sealed.feed.access import credential_or_local
from mlflow_sealed.feed.packages import publish_packages
from tests.conftest import PROJECT, Feed
from tests.environ import ROOT, clean_environ
from tests.mlflow_sealed.feed.test_publish import changed
from tests.package import VERSION

Command = Callable[..., subprocess.CompletedProcess[str]]


def feed_command(
    *arguments: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, which takes a second to start."""
    return subprocess.run(
        [sys.executable, "-m", "mlflow_sealed.cli", "feed", *arguments],
        cwd=ROOT,
        env=environ or clean_environ(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process, with no other environment than the one that is given."""

    def run(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        for name in os.environ.keys() - environ.keys():
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        status = command.main(list(arguments))
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)

    return run


@pytest.fixture
def no_local_feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout whose local feed was never started, and a user without a credential."""
    for module in (access, command):
        monkeypatch.setattr(module, "HOME", str(tmp_path / ".feed"))
    for name in os.environ.keys() - clean_environ().keys():
        monkeypatch.delenv(name)


def test_publishing_again_is_a_quiet_success(feed: Feed) -> None:
    done = feed_command("publish", environ=feed.environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"already there, the same bytes: mypreprocessing-{VERSION}")
    assert feed.index.password not in done.stdout


def test_the_feed_of_a_pypirc_is_published_to(
    run_here: Command, feed: Feed, tmp_path: Path
) -> None:
    path = tmp_path / ".pypirc"
    url = feed.index.url.removesuffix("simple/")
    path.write_text(
        f"[dss]\nrepository = {url}\nusername = feed\npassword = {feed.index.password}\n",
        encoding="utf-8",
    )
    environ = {**clean_environ(), "PYPIRC_PATH": str(path)}
    done = run_here("publish", "--repository", "dss", environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "already there" in done.stdout


def test_a_changed_package_is_not_published(run_here: Command, feed: Feed, tmp_path: Path) -> None:
    done = run_here("publish", str(changed(tmp_path)), environ=feed.environ)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: mlflow_model/requirements.txt has mypreprocessing-{VERSION}"
    )
    assert "raise the version" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_failure_is_one_line_and_a_status(run_here: Command, feed: Feed) -> None:
    url = feed.index.authenticated_url.replace(feed.index.password, "wr0ng")
    done = run_here("publish", environ={**clean_environ(), "PIP_EXTRA_INDEX_URL": url})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: http://127.0.0.1")
    assert done.stderr.count("\n") == 1
    assert "wr0ng" not in done.stderr


def test_a_command_is_run_with_what_pip_and_uv_need(run_here: Command, feed: Feed) -> None:
    show = "import os; print(os.environ['UV_INDEX'] == os.environ['PIP_EXTRA_INDEX_URL'])"
    environ = {**clean_environ(), "PIP_EXTRA_INDEX_URL": feed.index.authenticated_url}
    done = run_here("run", "--", sys.executable, "-c", show, environ=environ)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_the_status_of_a_command_is_passed_on(feed: Feed) -> None:
    done = feed_command(
        "run", "--", sys.executable, "-c", "raise SystemExit(7)", environ=feed.environ
    )
    assert done.returncode == 7


@pytest.mark.services
@pytest.mark.parametrize("status", [1, 7, 130])
def test_the_status_stays_the_commands_own_where_the_feed_is_at_fault_too(
    run_here: Command, status: int
) -> None:
    url = f"http://feed:s3cret@127.0.0.1:{process.free_port()}/simple/"
    environ = {**clean_environ(), "PIP_EXTRA_INDEX_URL": url}
    done = run_here(
        "run", "--", sys.executable, "-c", f"raise SystemExit({status})", environ=environ
    )
    assert done.returncode == status
    assert "cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_address_without_a_password_is_one_line_and_nothing_is_run(
    run_here: Command, tmp_path: Path
) -> None:
    url = "https://me@feed.example/simple/"
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PIP_EXTRA_INDEX_URL": url}
    done = run_here("run", "--", "touch", str(tmp_path / "was-run"), environ=environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has a user name and no password, .netrc has none for it and the keyring" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


SHOW_INDEXES = """import json, os
print(json.dumps({name: os.environ.get(name, "") for name in ("UV_INDEX", "UV_FIND_LINKS")}))
"""


def test_mlflow_asks_the_feed_for_its_packages_alone_and_any_other_command_asks_it_first(
    run_here: Command, feed: Feed, tmp_path: Path
) -> None:
    """What MLflow installs is locked; another command may choose versions."""
    (tmp_path / "mlflow").symlink_to(sys.executable)
    environ = {**clean_environ(), "PIP_EXTRA_INDEX_URL": feed.index.authenticated_url}
    seen = {}
    for program in (str(tmp_path / "mlflow"), sys.executable):
        done = run_here("run", "--", program, "-c", SHOW_INDEXES, environ=environ)
        seen[program] = json.loads(done.stdout)
    locked, other = seen.values()
    assert other == {"UV_INDEX": feed.index.authenticated_url, "UV_FIND_LINKS": ""}
    assert locked["UV_INDEX"].endswith(f" {feed.index.authenticated_url}")
    assert locked["UV_FIND_LINKS"] == ",".join(
        f"{feed.index.authenticated_url}{name}/" for name in ("mypreprocessing", "mlflow-sealed")
    )


def test_a_command_that_is_not_there_is_one_line(run_here: Command, feed: Feed) -> None:
    done = run_here("run", "--", "no-such-command", environ=feed.environ)
    said = "error: no-such-command cannot be run: No such file or directory\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_command_that_fails_with_a_wrong_password_ends_with_what_is_wrong(
    run_here: Command, feed: Feed
) -> None:
    url = feed.index.authenticated_url.replace(feed.index.password, "wr0ng")
    environ = {**clean_environ(), "PIP_EXTRA_INDEX_URL": url}
    done = run_here("run", "--", "false", environ=environ)
    assert done.returncode == 1
    assert "refuses the user name or password" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_command_that_needs_no_credential_has_none(run_here: Command, feed: Feed) -> None:
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    environ = {**feed.environ, "PIP_CONFIG_FILE": "pip.conf", "PYPIRC_PATH": ".pypirc"}
    done = run_here("drop", "--", sys.executable, "-c", show, environ=environ)
    assert feed.index.password not in done.stdout
    assert {"PIP_CONFIG_FILE", "PYPIRC_PATH"}.isdisjoint(json.loads(done.stdout))


@pytest.mark.parametrize(
    "port",
    [
        *("99999", "65536", "0", "00000", "-1", "+80", "http", "8083.5", "8e3", "0x50", "8_0", ""),
        *(" 80", "80\n", "\u0668\u0660", "\uff18\uff10", "\u00b2", "$PORT", "127.0.0.1:80"),
    ],
)
def test_a_port_that_is_none_is_one_line(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["serve", f"--port={port}"])
    said = f"error: argument --port: {port!r}, expected a port from 1 to 65535\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--port", "99999"], ["--port", "-1"], ["--port"], ["--po", "0"], ["--port", "9" * 5000]),
        *(["--port", "8083", "99999\n" * 1000], ["x" * 100_000]),
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
def test_whatever_is_wrong_with_a_command_line_is_one_short_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Python itself refuses to read a number of more than 4,300 digits."""
    with pytest.raises(SystemExit, match="2"):
        command.main(["serve", *arguments])
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert len(said) < 320


@pytest.mark.services
@pytest.mark.usefixtures("no_local_feed")
def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str], feed: Feed) -> None:
    port = feed.index.url.split(":")[2].partition("/")[0]
    assert command.main(["serve", "--port", port]) == 1
    assert capsys.readouterr().err == (
        f"error: port {port} of 127.0.0.1 is in use: end what listens there, or choose another "
        "port\n"
    )


@pytest.mark.usefixtures("no_local_feed")
def test_without_a_credential_or_a_local_feed_every_command_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["publish"], ["run", "--", "true"]):
        assert command.main(arguments) == 1
        said = capsys.readouterr().err
        assert "PIP_CONFIG_FILE" in said
        assert "PIP_EXTRA_INDEX_URL" in said
        assert "pip.conf.template" in said
        assert said.count("\n") == 1


@pytest.mark.services
@pytest.mark.usefixtures("no_local_feed")
def test_without_a_credential_a_local_feed_that_is_there_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with credential_or_local(ROOT, make=True) as found:
        print(*publish_packages(PROJECT, upload_address.from_index(found.feed)))
    assert command.main(["publish"]) == 0
    said = capsys.readouterr()
    assert f"published mypreprocessing-{VERSION}" in said.out
    assert "already there" in said.out
    assert "using the local feed" in said.err


@pytest.mark.services
def test_the_local_feed_is_served_until_ctrl_c(tmp_path: Path) -> None:
    port = process.free_port()
    code = (
        # A shell that runs the tests in the background has SIGINT ignored, for its children too.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys; from mlflow_sealed.feed import commands as c;"
        f"c.HOME = {str(tmp_path / 'home')!r};"
        f"sys.exit(c.main(['serve', '--port', '{port}']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            lines = [server.stdout.readline().strip() for _ in range(3)]
            path = lines[-1].removeprefix("export PIP_CONFIG_FILE=")
            environ = {**clean_environ(), "PIP_CONFIG_FILE": path}
            published = feed_command("publish", environ=environ)
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=30) == 130
        finally:
            server.terminate()
    assert published.returncode == 0, published.stderr
    deadline = time.monotonic() + 10
    while process._listens(port) and time.monotonic() < deadline:  # noqa: SLF001 # the same probe
        time.sleep(0.05)
    assert not process._listens(port)  # noqa: SLF001 # the same probe

"""Building and publishing, against a real feed."""

import http.server
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import publish, reading, upload_address
from mlflow_sealed.feed.answers import FeedError
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.local import LocalFeed
from mlflow_sealed.feed.publish import OtherBytesError, Outcome
from mlflow_sealed.feed.upload_address import Target
from tests.conftest import PACKAGE
from tests.package import VERSION

SECRET = secrets.token_urlsafe(8) + "!?"

NO_VERSION = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "x"
"""

# Runs in every Python of the build, and moves its clock.
SHIFTED_CLOCK = """
import time
_time, _localtime = time.time, time.localtime
time.time = lambda: _time() + 400 * 86400
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
"""


@pytest.fixture(scope="module")
def own_feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A feed that only this module publishes to."""
    local = LocalFeed(tmp_path_factory.mktemp("own") / "home")
    with local.serving(process.free_port()) as index:
        yield upload_address.from_index(index)


def copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist")
    return shutil.copytree(PACKAGE, folder / "mypreprocessing", ignore=ignored)


def changed(folder: Path) -> Path:
    """A copy of the package with one more line, and the same version."""
    project = copy(folder)
    change(project)
    return project


def change(package: Path) -> None:
    """Add a line to a package that is a copy."""
    with (package / "src" / package.name / "__init__.py").open("a") as file:
        file.write("\n# another line\n")


def test_two_builds_on_two_paths_and_two_clocks_give_the_same_bytes(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy(tmp_path / "a longer way to the other place")
    for file in project.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
        file.chmod(0o700)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SHIFTED_CLOCK, encoding="utf-8")
    year = [sys.executable, "-c", "import time; print(time.localtime().tm_year)"]
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    shifted = int(subprocess.run(year, capture_output=True, check=True).stdout)
    monkeypatch.delenv("PYTHONPATH")
    assert shifted > int(subprocess.run(year, capture_output=True, check=True).stdout)
    monkeypatch.setenv("PYTHONPATH", str(site))

    other = publish.build_wheel(project, tmp_path / "out")

    assert publish.sha256(other) == publish.sha256(wheel)


def test_another_source_gives_another_hash(tmp_path: Path, wheel: Path) -> None:
    """The control of the test above."""
    other = publish.build_wheel(changed(tmp_path), tmp_path / "out")
    assert other.name == wheel.name
    assert publish.sha256(other) != publish.sha256(wheel)


def test_stray_files_stay_out_of_the_wheel(tmp_path: Path, wheel: Path) -> None:
    project = copy(tmp_path)
    (project / "src" / "mypreprocessing" / "patients.csv").write_text("1,2,3", encoding="utf-8")
    other = publish.build_wheel(project, tmp_path / "out")
    assert publish.sha256(other) == publish.sha256(wheel)


def test_a_project_that_does_not_build_is_one_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(NO_VERSION, encoding="utf-8")
    with pytest.raises(process.ProcessError, match="the build of .* failed: see its output above"):
        publish.build_wheel(tmp_path, tmp_path / "out")
    assert "version" in capfd.readouterr().err


def test_publishing_twice_uploads_once(own_feed: Target, wheel: Path) -> None:
    assert reading.published_sha256(wheel.name, own_feed.index) is None
    assert publish.publish(wheel, own_feed) == Outcome(uploaded=True)
    assert publish.publish(wheel, own_feed) == Outcome(uploaded=False)
    assert reading.published_sha256(wheel.name, own_feed.index) == publish.sha256(wheel)


def test_other_bytes_under_a_published_version_are_an_error(
    own_feed: Target, wheel: Path, tmp_path: Path
) -> None:
    publish.publish(wheel, own_feed)
    other = publish.build_wheel(changed(tmp_path), tmp_path / "out")
    with pytest.raises(OtherBytesError, match="these sources give .*: raise the version"):
        publish.publish(other, own_feed)
    assert reading.published_sha256(wheel.name, own_feed.index) == publish.sha256(wheel)


def test_a_feed_that_gives_no_hashes_is_asked_for_the_file(
    feed: object, wheel: Path, tmp_path: Path
) -> None:
    del feed
    packages = tmp_path / "packages"
    packages.mkdir()
    shutil.copy(wheel, packages)
    port = process.free_port()
    command = [sys.executable, "-m", "pypiserver", "run", "-i", "127.0.0.1", "-p", str(port)]
    options = ["-a", ".", "-P", ".", "--disable-fallback", "--hash-algo", "off", str(packages)]
    with process.background([*command, *options], port=port, timeout_s=30):
        index = Index(f"http://127.0.0.1:{port}/simple/", "anybody", "anything")
        assert reading.published_sha256(wheel.name, index) == publish.sha256(wheel)


def test_wrong_credentials_are_one_line_without_the_password(own_feed: Target, wheel: Path) -> None:
    wrong = upload_address.from_index(Index(own_feed.index.url, "feed", "wr0ng-password"))
    with pytest.raises(
        FeedError, match=r"refuses the user name or password \(status 40[13]\)"
    ) as e:
        publish.publish(wheel, wrong)
    assert "wr0ng" not in str(e.value)
    assert "\n" not in str(e.value)


def test_an_upload_that_is_refused_is_one_line_without_the_password(
    own_feed: Target, tmp_path: Path
) -> None:
    """The index may be read, but the upload address is not there."""
    project = changed(tmp_path)
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8").replace(f'"{VERSION}"', '"99.1"')
    pyproject.write_text(text, encoding="utf-8")
    other = publish.build_wheel(project, tmp_path / "out")
    target = Target(own_feed.upload_url + "nowhere", own_feed.index)
    with pytest.raises(
        FeedError, match=r"127.0.0.1.*/nowhere takes no uploads \(status 405\): name .*--upload-url"
    ) as e:
        publish.publish(other, target)
    assert own_feed.index.password not in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.services
def test_an_unreachable_feed_is_one_line(wheel: Path) -> None:
    index = Index(f"http://127.0.0.1:{process.free_port()}/simple/", "feed", "s3cret")
    with pytest.raises(FeedError, match="cannot be reached .ConnectionError.: is it up") as e:
        publish.publish(wheel, upload_address.from_index(index))
    assert "s3cret" not in str(e.value)


@contextmanager
def answering(status: int, reason: str, body: bytes, content_type: str) -> Iterator[Index]:
    """A server that gives every request the same answer, but an index page to a GET."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status, reason)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(403, f"Forbidden for {quote(SECRET)}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Index(f"http://127.0.0.1:{server.server_port}/simple/", "feed", SECRET)
        server.shutdown()


@pytest.mark.services
def test_a_feed_that_fails_is_one_line_with_its_status(wheel: Path) -> None:
    with (
        answering(503, "Busy", b"", "text/html") as index,
        pytest.raises(FeedError, match="simple/ fails .status 503, Busy.: try again later"),
    ):
        publish.publish(wheel, upload_address.from_index(index))


@pytest.mark.services
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/vnd.pypi.simple.v99+json"),
        (b"not JSON", "application/vnd.pypi.simple.v1+json"),
        (b"picture", "image/png"),
    ],
)
def test_what_is_no_package_index_is_one_line(wheel: Path, body: bytes, content_type: str) -> None:
    with (
        answering(200, "OK", body, content_type) as index,
        pytest.raises(FeedError, match="simple/ is not a package index: check the address"),
    ):
        publish.publish(wheel, upload_address.from_index(index))


@pytest.mark.services
def test_a_server_that_repeats_the_password_is_not_repeated(wheel: Path) -> None:
    with (
        answering(200, "OK", b"<html></html>", "text/html") as index,
        pytest.raises(
            FeedError, match=r"password \(status 403, Forbidden for …\), or does not"
        ) as error,
    ):
        publish.publish(wheel, upload_address.from_index(index))
    assert SECRET not in str(error.value)
    assert quote(SECRET) not in str(error.value)


def test_a_proxy_does_not_hear_of_a_feed_on_this_machine(
    own_feed: Target, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reading.check_access(own_feed.index, "mypreprocessing")
    assert not publish.publish(wheel, own_feed).unseen


def test_a_readme_that_does_not_render_is_refused_before_the_upload(
    own_feed: Target, tmp_path: Path
) -> None:
    project = copy(tmp_path)
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8").replace(f'"{VERSION}"', '"99.2"')
    pyproject.write_text(text.replace('readme = "README.md"', 'readme = "README.rst"'))
    (project / "README.rst").write_text(".. no-such-directive::\n\n*", encoding="utf-8")
    bad = publish.build_wheel(project, tmp_path / "out")
    with pytest.raises(FeedError, match=f"twine check refuses {bad.name}"):
        publish.publish(bad, own_feed)
    assert reading.published_sha256(bad.name, own_feed.index) is None

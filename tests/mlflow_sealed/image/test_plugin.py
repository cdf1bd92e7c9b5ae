"""The plugin behind ``docker build``: MLflow's builds get the secret, others pass untouched."""

import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.local import LocalFeed
from mlflow_sealed.image import context, docker
from tests.conftest import PROJECT, Trained
from tests.environ import untraced
from tests.mlflow_sealed.image import standin
from tests.mlflow_sealed.image.conftest import Built, run, until
from tests.package import VERSION

MISSING: Final = "error: no feed credential: set PIP_CONFIG_FILE"


@pytest.fixture(scope="module")
def mlflows(
    tmp_path_factory: pytest.TempPathFactory, build_environ: dict[str, str], trained: Trained
) -> Path:
    """The folder that MLflow makes for ``docker build``."""
    folder = tmp_path_factory.mktemp("mlflows") / "context"
    command = "mlflow models generate-dockerfile -m models:/diabetes@champion --env-manager local"
    done = run([*command.split(), "-d", str(folder)], build_environ, cwd=trained.folder)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def copied(mlflows: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mlflows, tmp_path / "context"))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A TMPDIR, to see what stays in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def impostor_feed(tmp_path: Path, wheel: Path, toolkit: Path) -> Iterator[credential.Index]:
    """A feed that has our package's name and version, with other bytes, and the toolkit itself."""
    feed = LocalFeed(tmp_path / "impostor")
    with feed.serving(process.free_port()) as index:
        with (
            zipfile.ZipFile(wheel) as genuine,
            zipfile.ZipFile(feed.packages / wheel.name, "w") as other,
        ):
            for member in genuine.infolist():
                other.writestr(member, genuine.read(member))
            other.comment = b"other bytes"
        shutil.copy(toolkit, feed.packages)
        yield index


@pytest.mark.parametrize("client", list(docker.clients(os.environ)) or ["docker"])
def test_another_build_passes_untouched(
    build_environ: dict[str, str], tmp_path: Path, client: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n", encoding="utf-8")
    (tmp_path / "file").write_bytes(b"")
    environ = {name: text for name, text in build_environ.items() if not name.startswith("PIP_")}
    done = run([client, "build", "-t", "other", "."], environ, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert _exists("other")
    docker.ask("image", "rm", "other")


def test_another_build_gets_no_secret(build_environ: dict[str, str], tmp_path: Path) -> None:
    mount = "--mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=true"
    text = f"FROM {standin.NAME}\nRUN {mount} cat /etc/pip.conf\n"
    (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
    client = docker.find_builder(build_environ).client
    environ = {**build_environ, "DOCKER_BUILDKIT": "1"}
    done = run([client, "build", "--network", "none", "."], environ, cwd=tmp_path)
    assert done.returncode != 0
    assert "secret pip_conf" in done.stdout


def test_another_build_that_fails_has_its_own_status(
    build_environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n", encoding="utf-8")
    builder = docker.find_builder(build_environ)
    plain = {**build_environ, "DOCKER_CONFIG": str(tmp_path), "DOCKER_BUILDKIT": "1"}
    ours = {**build_environ, "DOCKER_BUILDKIT": "1"}
    statuses = [run([builder.client, "build", "."], each, cwd=tmp_path) for each in (plain, ours)]
    assert statuses[0].returncode == statuses[1].returncode != 0


def test_tag_platform_and_other_options_are_kept(
    built: Built, build_environ: dict[str, str], mlflows: Path
) -> None:
    del built  # its layers are reused
    options = "-t kept:1 --tag=kept:2 --platform linux/amd64 --label mine=yes -f Dockerfile ."
    done = run(["docker", "build", *options.split()], build_environ, cwd=mlflows)
    assert done.returncode == 0, done.stdout
    shown = docker.ask(
        "inspect", "--format", '{{index .Config.Labels "mine"}} {{.Architecture}}', "kept:2"
    )
    assert shown.decode().split() == ["yes", "amd64"]
    docker.ask("image", "rm", "kept:1", "kept:2")


def test_without_a_credential_nothing_is_built(
    build_environ: dict[str, str], mlflows: Path
) -> None:
    environ = {**build_environ, "PIP_EXTRA_INDEX_URL": ""}
    assert _error(environ, mlflows).startswith(MISSING)


@pytest.mark.usefixtures("built")
def test_a_wrong_password_is_named_also_where_every_layer_is_there(
    build_environ: dict[str, str], mlflows: Path, planted: credential.Index
) -> None:
    wrong = credential.Index(planted.url, planted.username, "wr0ng")
    line = _error({**build_environ, "PIP_EXTRA_INDEX_URL": wrong.authenticated_url}, mlflows)
    assert line.startswith(f"error: {planted.url} refuses the user name or password")
    assert "wr0ng" not in line


def test_a_feed_that_is_down_is_named_and_nothing_is_built(
    build_environ: dict[str, str], mlflows: Path
) -> None:
    url = f"http://me:s3cret@127.0.0.1:{process.free_port()}/simple/"
    start = time.monotonic()
    assert "cannot be reached" in _error({**build_environ, "PIP_EXTRA_INDEX_URL": url}, mlflows)
    assert time.monotonic() - start < 20


def test_a_feed_that_goes_down_during_the_build_ends_it_within_seconds(
    build_environ: dict[str, str], mlflows: Path, tmp_path: Path
) -> None:
    asked = context.parse([str(mlflows)])
    assert asked
    folder = tmp_path / "ours"
    folder.mkdir()
    context.make(asked, PROJECT.lock("server"), folder)
    url = f"http://127.0.0.1:{process.free_port()}/simple/"
    found = credential.from_index(credential.Index(url, "me", "s3cret"))
    credential.write_install_conf(found, tmp_path / "pip.conf")
    options = (
        *("--no-cache", "--network", "host", "--build-arg", f"BASE={standin.NAME}"),
        *("--secret", f"id=pip_conf,src={tmp_path}/pip.conf", "--target", "packages"),
        *("--file", str(context.DOCKERFILE), str(folder)),
    )
    environ = {**build_environ, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(tmp_path)}
    start = time.monotonic()
    done = run(docker.find_builder(environ).command([], options), environ, cwd=tmp_path)
    assert done.returncode != 0
    assert "No matching distribution found for mlflow-sealed==" in done.stdout
    assert done.stdout.count("Retrying (Retry(") <= 2 * 2  # a step's log is shown twice
    assert time.monotonic() - start < 40


def test_a_temporary_folder_without_room_is_one_line(
    build_environ: dict[str, str], mlflows: Path
) -> None:
    plugin = f"{build_environ['DOCKER_CONFIG']}/cli-plugins/docker-mlflowmodel"
    limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", plugin, "mlflowmodel", "build", "."]
    done = run(limited, untraced(build_environ), cwd=mlflows)
    assert done.returncode == 1
    assert done.stdout.startswith("error: the build's files cannot be written: ")
    assert done.stdout.endswith(" (TMPDIR can name another folder)\n")
    assert len(done.stdout.splitlines()) == 1


def test_without_buildkit_nothing_is_built(
    build_environ: dict[str, str], mlflows: Path, tmp_path: Path
) -> None:
    plugin = f"{build_environ['DOCKER_CONFIG']}/cli-plugins/docker-mlflowmodel"
    command = [plugin, "mlflowmodel", "build", "-t", "refused", "."]
    nowhere = run(command, {**build_environ, "PATH": str(tmp_path)}, cwd=mlflows)
    assert nowhere.returncode == 1
    assert nowhere.stdout.startswith("error: no docker client here can build with BuildKit")
    forbidden = run(command, {**build_environ, "DOCKER_BUILDKIT": "0"}, cwd=mlflows)
    assert forbidden.returncode == 1
    assert forbidden.stdout.startswith("error: DOCKER_BUILDKIT=0 asks for the old builder")
    assert len(nowhere.stdout.splitlines()) == len(forbidden.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("FROM python:", "FROM elsewhere/python:", id="another base"),
        pytest.param("C._serve('local')", "C._serve('virtualenv')", id="an environment manager"),
        pytest.param(context.HEADER, "# By hand.", id="not MLflow's, but with its model"),
        pytest.param("\nENTRYPOINT", "\nFROM scratch\nENTRYPOINT", id="a second stage"),
    ],
)
def test_a_dockerfile_that_is_not_known_is_refused(
    build_environ: dict[str, str], copied: Path, old: str, new: str
) -> None:
    path = copied / "Dockerfile"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert _error(build_environ, copied).startswith("error: this Dockerfile is not known")


def test_a_model_that_was_changed_after_logging_is_not_built(
    build_environ: dict[str, str], copied: Path
) -> None:
    with (copied / "model_dir" / "requirements.txt").open("a", encoding="utf-8") as file:
        file.write("leftpad\n")
    line = _error(build_environ, copied)
    assert line.startswith("error: the model's files are not those that were logged")
    assert "['requirements.txt']" in line


def test_other_bytes_under_the_same_version_are_not_installed(
    build_environ: dict[str, str], mlflows: Path, temporary: Path, impostor_feed: credential.Index
) -> None:
    environ = {
        **build_environ,
        "PIP_EXTRA_INDEX_URL": impostor_feed.authenticated_url,
        "TMPDIR": str(temporary),
    }
    command = ["docker", "build", "--no-cache", "-t", "impostor", "."]
    done = run(command, environ, cwd=mlflows)
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE" in done.stdout
    assert f"mypreprocessing=={VERSION}" in done.stdout
    assert not _exists("impostor")
    assert list(temporary.iterdir()) == []
    assert impostor_feed.password not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_no_credential(
    build_environ: dict[str, str], mlflows: Path, temporary: Path, number: signal.Signals
) -> None:
    environ = {**build_environ, "TMPDIR": str(temporary)}
    command = ["docker", "build", "--no-cache", "-t", "interrupted", "."]
    build = subprocess.Popen(
        command,
        env=environ,
        cwd=mlflows,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: any(temporary.glob("mlflow-model-*/pip.conf")), timeout_s=30)
    time.sleep(2)
    os.killpg(build.pid, number)
    assert build.wait(30) != 0
    until(lambda: not any(temporary.iterdir()), timeout_s=15)
    assert not _exists("interrupted")


@pytest.mark.parametrize(
    ("arguments", "options", "dockerfile"),
    [
        pytest.param("-t name -f Dockerfile DIR", "-t name", "Dockerfile", id="as MLflow asks"),
        pytest.param("DIR -t name", "-t name", "DIR/Dockerfile", id="the folder first"),
        pytest.param("--no-cache DIR", "--no-cache", "DIR/Dockerfile", id="no value"),
        pytest.param("-qt name DIR", "-qt name", "DIR/Dockerfile", id="short options together"),
        pytest.param("--file=other --pull DIR", "--pull", "other", id="with an equals sign"),
        pytest.param("-fother -tname DIR", "-tname", "other", id="value at once"),
        pytest.param("--label a=b DIR", "--label a=b", "DIR/Dockerfile", id="equals in a value"),
    ],
)
def test_arguments_are_understood(
    tmp_path: Path, arguments: str, options: str, dockerfile: str
) -> None:
    folder = str(tmp_path)
    found = context.parse(arguments.replace("DIR", folder).split())
    assert found == context.Build(
        tuple(options.split()), tmp_path, Path(dockerfile.replace("DIR", folder))
    )


@pytest.mark.parametrize("arguments", ["", "-", "https://example.com/repo.git", "-t name", ". ."])
def test_a_build_without_one_folder_is_not_ours(arguments: str) -> None:
    assert context.parse(arguments.split()) is None


def _error(environ: dict[str, str], folder: Path) -> str:
    """Return the line with which a build is refused, as nothing is tagged."""
    done = run(["docker", "build", "-t", "refused", "-f", "Dockerfile", "."], environ, cwd=folder)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert not _exists("refused")
    return lines[0]


def _exists(image: str) -> bool:
    return bool(docker.ask("images", "--quiet", image).strip())

"""Which docker builds: Docker's own client, where BuildKit is on, here or elsewhere."""

import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.image import commands, docker, docker_config
from tests import services
from tests.conftest import PROJECT

pytestmark = pytest.mark.services


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def _says(version: str) -> str:
    """Return a client that can do everything, as podman says of `buildx version`."""
    return f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" || echo "Podman Engine"\n'


@pytest.fixture
def own_client() -> str:
    services.need("docker")
    return docker.find_builder(os.environ).client


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(_says("podman version 5.4.2"), "podman", id="podman-docker"),
        pytest.param(_says("docker version 5.4.2"), "podman", id="podman, called docker"),
        pytest.param("#!/bin/sh\necho nerdctl version 2.0.3\n", "nerdctl", id="nerdctl"),
        pytest.param("#!/bin/sh\necho something 1.0\n", "not Docker's own client", id="another"),
        pytest.param("no program", "not Docker's own client", id="of another machine"),
    ],
)
def test_another_program_that_is_called_docker_is_refused(
    tmp_path: Path, own_client: str, text: str, name: str
) -> None:
    program(tmp_path / "first" / "docker", text)
    behind = f"{tmp_path / 'first'}:{Path(own_client).parent}"
    with pytest.raises(process.ProcessError, match=f"docker on PATH is {name}, which knows no CLI"):
        docker.refuse_imitation({**os.environ, "PATH": behind})
    assert docker.find_builder({**os.environ, "PATH": behind}).client == own_client
    with pytest.raises(process.ProcessError, match="no docker client here can build with BuildKit"):
        docker.find_builder({**os.environ, "PATH": str(tmp_path / "first")})


def test_a_link_to_podman_is_known_by_its_file(tmp_path: Path) -> None:
    podman = program(tmp_path / "bin" / "podman", "#!/bin/sh\necho docker version 3.4.4\n")
    (tmp_path / "docker").symlink_to(podman)
    with pytest.raises(process.ProcessError, match="docker on PATH is podman"):
        docker.refuse_imitation({"PATH": str(tmp_path)})


def test_dockers_own_client_is_not_refused(own_client: str) -> None:
    docker.refuse_imitation({**os.environ, "PATH": str(Path(own_client).parent)})


@pytest.mark.usefixtures("own_client")
@pytest.mark.parametrize(
    ("changed", "line"),
    [
        pytest.param({"PATH": "first"}, "docker on PATH is podman", id="podman"),
        pytest.param({"PATH": "nowhere"}, "no docker client here can build", id="no client"),
        pytest.param({"DOCKER_BUILDKIT": "0"}, "asks for the old builder", id="no BuildKit"),
    ],
)
def test_no_folder_is_made_for_a_client_that_would_not_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], line: str
) -> None:
    program(tmp_path / "first" / "docker", _says("podman version 5.4.2"))
    monkeypatch.chdir(tmp_path)
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(process.ProcessError, match=line):
        commands.config(PROJECT.model_copy(update={"root": tmp_path}))
    assert not (tmp_path / docker_config.FOLDER).exists()


@pytest.mark.parametrize("value", ["0", "f", "F", "false", "False", "FALSE", "1", "t", "true", ""])
def test_buildkit_is_off_where_the_client_takes_it_for_off(
    tmp_path: Path, own_client: str, value: str
) -> None:
    """Docker 28 passes the builder over then, without a word about it; 20.10 does not."""
    del own_client
    first = next(docker.clients(os.environ))
    plugin = 'echo \'{"SchemaVersion": "0.1.0", "Vendor": "a test"}\'; exec echo started >&2'
    program(tmp_path / "config/cli-plugins/docker-mlflowmodel", f"#!/bin/sh\n{plugin}\n")
    (tmp_path / "config/config.json").write_text('{"aliases": {"builder": "mlflowmodel"}}', "utf-8")
    environ = {
        **os.environ,
        "DOCKER_CONFIG": str(tmp_path / "config"),
        "DOCKER_HOST": f"unix://{tmp_path}/none",
        "DOCKER_BUILDKIT": value,
    }
    command = [first, "build", str(tmp_path / "config")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    uses_the_plugin = "DEPRECATED" not in done.stderr and "started" in done.stderr
    off = value.lower() in {"0", "f", "false"}
    assert uses_the_plugin or off
    refused = f"DOCKER_BUILDKIT={value} asks for the old builder"
    with pytest.raises(process.ProcessError, match=refused) if off else nullcontext():
        docker.find_builder(environ)


@pytest.mark.parametrize(
    ("host", "flags", "where"),
    [
        pytest.param("unix:///run/docker.sock", (), "here", id="a socket"),
        pytest.param("tcp://build.example:2376", (), "elsewhere", id="a server"),
        pytest.param("ssh://build.example", (), "elsewhere", id="over SSH"),
        pytest.param("tcp://127.0.0.1:2375", (), "elsewhere", id="what a tunnel may be"),
        pytest.param(
            "unix:///run/docker.sock", ("--host", "tcp://a:1"), "elsewhere", id="an option"
        ),
        pytest.param(
            "unix:///run/docker.sock", ("--context", "none"), "elsewhere", id="cannot be told"
        ),
    ],
)
def test_an_engine_elsewhere_is_told_from_one_here(
    own_client: str, host: str, flags: tuple[str, ...], where: str
) -> None:
    builder = docker.Builder(own_client, buildx=False)
    assert builder.is_here(flags, {**os.environ, "DOCKER_HOST": host}) is (where == "here")


def test_docker_reads_the_folder_that_is_made(tmp_path: Path, own_client: str) -> None:
    """What docker itself has written to the folder is there after it is made again."""
    ours = docker_config.make(
        {"DOCKER_CONFIG": str(tmp_path / "user")}, PROJECT.lock("server"), tmp_path / "ours"
    )
    environ = {**os.environ, "DOCKER_CONFIG": str(ours)}
    create = [own_client, "context", "create", "mine", "--docker", "host=tcp://a.example:1"]
    subprocess.run(create, env=environ, capture_output=True, check=True)
    subprocess.run(
        [own_client, "context", "use", "mine"], env=environ, capture_output=True, check=True
    )
    docker_config.make(environ, PROJECT.lock("server"), ours)
    plain = {name: value for name, value in environ.items() if name != "DOCKER_HOST"}
    shown = subprocess.run(
        [own_client, "context", "inspect", "--format", "{{.Name}}"],
        env=plain,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "mine"

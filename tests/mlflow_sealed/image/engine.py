"""A Docker engine of the tests' own: own data, own socket, no bridge and no firewall rule."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow_sealed import process
from mlflow_sealed.image import docker
from tests.mlflow_sealed.image import standin

HOW = (
    "to run these tests: be root on Linux; `make setup` installs docker.io and mmdebstrap "
    "(where the docker client on PATH is newer than 22, its buildx plugin too, or Debian's beside)"
)


def missing() -> str:
    """Return what is missing for an engine, or nothing."""
    if os.geteuid() != 0:
        return "not root"
    needed = ["dockerd"] if standin.TARBALL.exists() else ["dockerd", "mmdebstrap"]
    if absent := [program for program in needed if not shutil.which(program)]:
        return f"not installed: {absent}"
    try:
        docker.find_builder(os.environ)
    except process.ProcessError as error:
        return str(error)
    return ""


@contextmanager
def running(folder: Path, *, apt: bool = False) -> Iterator[str]:
    """Run an engine that has the stand-in for the length of a block, and give its DOCKER_HOST."""
    address = f"unix://{folder}/docker.sock"
    command = (
        *("dockerd", "--host", address, "--bridge", "none", "--iptables=false"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "dockerd.pid")),
    )
    with (folder / "dockerd.log").open("wb") as log:
        dockerd = subprocess.Popen(command, stdout=log, stderr=log)
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = address
        try:
            _wait(dockerd, folder)
            standin.load("docker", apt=apt)
            yield address
        finally:
            _restore(before)
            dockerd.terminate()
            dockerd.wait(60)
            _unmount(folder)


def _wait(dockerd: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            docker.ask("version")
        except process.ProcessError as error:
            if dockerd.poll() is not None or time.monotonic() > deadline:
                log = (folder / "dockerd.log").read_text(encoding="utf-8")[-2000:]
                raise RuntimeError(f"dockerd does not start: {error}\n{log}") from error
        else:
            return
        time.sleep(0.2)


def _unmount(folder: Path) -> None:
    """Let go of what dockerd leaves mounted, so that its folder can be removed."""
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    below = [line.split()[1] for line in mounts if line.split()[1].startswith(f"{folder}/")]
    subprocess.run(["umount", "--lazy", *below], check=bool(below), capture_output=True)


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop("DOCKER_HOST")
    else:
        os.environ["DOCKER_HOST"] = before

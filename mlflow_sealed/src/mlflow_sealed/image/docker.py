"""Docker's command line: find a client that can build with BuildKit, and ask the engine things."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow_sealed import process

_BUILT_IN: Final = range(18, 23)
"""Versions of the client that have BuildKit inside; later ones need the buildx plugin."""

_OFF: Final = frozenset({"0", "f", "false"})
"""What the client takes for false; it would build without plugins then."""

_HERE: Final = frozenset({"unix", "npipe", "fd"})
"""The schemes of an engine's address that cannot be of another machine."""

_DRIVERS_HERE: Final = frozenset({"docker", "docker-container"})
"""The drivers of buildx that build where the engine is."""

_IMITATIONS: Final = ("podman", "nerdctl", "finch")

_NO_CLIENT: Final = (
    "no docker client here can build with BuildKit, which keeps the credential out of the image: "
    "install the buildx plugin (Docker's docker-buildx-plugin), or Debian's docker.io"
)


@dataclass(frozen=True)
class Builder:
    """A way to build with BuildKit.

    Attributes
    ----------
    client
        The path of the docker client.
    buildx
        Whether it builds with the buildx plugin; otherwise BuildKit is inside the client.
    """

    client: str
    buildx: bool

    def command(self, flags: Sequence[str], arguments: Sequence[str]) -> list[str]:
        """Return the command of a build; `flags` are the client's own, before the subcommand."""
        if not self.buildx:
            return [self.client, *flags, "build", *arguments]
        # A builder in a container of its own keeps the image to itself unless told otherwise.
        keeps = any(re.match(r"-o|--output|--push|--load", argument) for argument in arguments)
        load = [] if keeps else ["--load"]
        return [self.client, *flags, "buildx", "build", *load, *arguments]

    def is_here(self, flags: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Return whether it builds on this machine; False too if that cannot be told."""
        shown = (*flags, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if _output([self.client, *shown], environ).partition("://")[0] not in _HERE:
            return False
        said = _output([self.client, *flags, "buildx", "inspect"], environ) if self.buildx else ""
        drivers = re.findall(r"^Driver:\s*(\S+)", said, re.MULTILINE)
        return _DRIVERS_HERE.issuperset(drivers)


def refuse_imitation(environ: Mapping[str, str]) -> None:
    """Stop if the ``docker`` that PATH finds first is not Docker's own client.

    podman and nerdctl know no CLI plugins, and do not say so: they would build MLflow's own
    Dockerfile.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it is another program; names it.
    """
    first = next(clients(environ), None)
    if first and not _is_dockers(first, environ):
        raise process.ProcessError(
            f"docker on PATH is {_name(first, environ)}, which knows no CLI plugins: it would "
            "build MLflow's own Dockerfile, which runs as root and cannot use the feed's "
            "credential. Put Docker's own client first on PATH"
        )


def find_builder(environ: Mapping[str, str]) -> Builder:
    """Return the first client on PATH that can build with BuildKit.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If there is none, or DOCKER_BUILDKIT=0 forbids it.
    """
    buildkit = environ.get("DOCKER_BUILDKIT", "")
    if buildkit.lower() in _OFF:
        raise process.ProcessError(
            f"DOCKER_BUILDKIT={buildkit} asks for the old builder, which has no secrets: unset it"
        )
    for client in clients(environ):
        if not _is_dockers(client, environ):
            continue
        if _output([client, "buildx", "version"], environ):
            return Builder(client, buildx=True)
        version = _output([client, "version", "--format", "{{.Client.Version}}"], _plain(environ))
        if version.split(".")[0] in map(str, _BUILT_IN):
            return Builder(client, buildx=False)
    raise process.ProcessError(_NO_CLIENT)


def clients(environ: Mapping[str, str]) -> Iterator[str]:
    """Give every docker client on PATH, in its order."""
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        client = Path(folder) / "docker"
        if client.is_file() and os.access(client, os.X_OK):
            yield str(client)


def ask(*arguments: str, stdin: bytes | None = None) -> bytes:
    """Run ``docker ARGUMENTS`` and return its output.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it fails; the message has the last line of what it said.
    """
    try:
        command = ("docker", *arguments)
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise process.ProcessError(
            "docker is not installed: https://docs.docker.com/engine/install/ says how"
        ) from None
    except OSError as error:
        raise process.ProcessError(f"docker cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise process.ProcessError(f"docker {arguments[0]} failed: {said}")
    return done.stdout


def _output(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the output; docker version prints the client's, and fails, without an engine."""
    try:
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
    except OSError:  # a program of another machine, a script without its interpreter
        return ""
    return done.stdout.decode(errors="replace").strip()


def _is_dockers(client: str, environ: Mapping[str, str]) -> bool:
    # The capital counts: podman that is called docker says 'docker version 5.4.2'.
    return _output([client, "--version"], _plain(environ)).startswith("Docker version")


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a client without a configuration: a faulty one ends any command."""
    return {**environ, "DOCKER_CONFIG": os.devnull}


def _name(client: str, environ: Mapping[str, str]) -> str:
    """Return what a client calls itself, or the file that it is a link to."""
    said = [_output([client, question], environ) for question in ("--version", "version")]
    told = " ".join([*said, Path(client).resolve().name]).lower()
    return next((name for name in _IMITATIONS if name in told), "not Docker's own client")

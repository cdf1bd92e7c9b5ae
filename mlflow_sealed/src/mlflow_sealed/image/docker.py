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


def find_builder(environ: Mapping[str, str]) -> Builder:
    """Return the first client on PATH that can build with BuildKit.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If there is none, or DOCKER_BUILDKIT=0 forbids it.
    """
    if environ.get("DOCKER_BUILDKIT") in {"0", "false"}:
        raise process.ProcessError(
            "DOCKER_BUILDKIT=0 asks for the old builder, which has no secrets: unset it"
        )
    for client in clients(environ):
        if _output([client, "buildx", "version"], environ):
            return Builder(client, buildx=True)
        version = _output([client, "version", "--format", "{{.Client.Version}}"], environ)
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
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise process.ProcessError(f"docker {arguments[0]} failed: {said}")
    return done.stdout


def _output(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the output; docker version prints the client's, and fails, without an engine."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return done.stdout.strip()

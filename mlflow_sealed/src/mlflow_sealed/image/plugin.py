"""The Docker CLI plugin behind ``docker build``: MLflow's builds get the credential as a secret.

Docker starts it as ``docker-mlflowmodel mlflowmodel build …`` once `docker_config` has made it
the builder. Every build that is not MLflow's goes on to Docker as if the plugin were not there.
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.image import context, docker, labels

NAME: Final = "mlflowmodel"
METADATA: Final = {
    "SchemaVersion": "0.1.0",
    "Vendor": "mlflow-sealed",
    "Version": "1.0.0",
    "ShortDescription": "Build MLflow's models with the feed's credential as a secret",
}
CA_BUNDLE: Final = "/run/secrets/ca_bundle.pem"
"""Where the Dockerfile mounts the CA bundle."""

_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

FAILURES: Final = (context.BuildError, credential.CredentialError, process.ProcessError)


def main(arguments: Sequence[str]) -> int:
    """Do what docker asks for and return the exit status; a failure of ours is one line.

    Parameters
    ----------
    arguments
        The user's own configuration folder and the server's lock, then those that docker gave.
    """
    user_config, lock, *given = arguments
    if given[:1] == ["docker-cli-plugin-metadata"]:
        print(json.dumps(METADATA))
        return 0
    environ = {**os.environ, "DOCKER_CONFIG": user_config}
    place = given.index(NAME) if NAME in given else 0
    flags, asked = given[:place], given[place + 1 :]
    found = context.parse(asked[1:]) if asked[:1] == ["build"] else None
    if found is None or not context.is_mlflows(found):
        return _pass_on(flags, asked, environ)
    try:
        return build(found, flags, environ, lock=Path(lock))
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: the build's files cannot be written: {_why(error)}", file=sys.stderr)
    return 1


def build(
    asked: context.Build, flags: Sequence[str], environ: Mapping[str, str], *, lock: Path
) -> int:
    """Build MLflow's model with our Dockerfile and return the exit status of the build.

    The credential is in a file of a folder that only its owner can enter, for as long as the build
    runs.
    """
    base = context.base(asked)
    found = credential.read(environ)
    builder = docker.find_builder(environ)
    doubt = build_doubt(found, here=builder.is_here(flags, environ))
    with _interruptible(), tempfile.TemporaryDirectory(prefix="mlflow-model-") as name:
        folder = Path(name)
        (folder / "context").mkdir()
        context.make(asked, lock, folder / "context")
        options = [
            *asked.options,
            *_network(asked.options, found),
            *("--build-arg", f"BASE={base}"),
            *("--build-arg", f"MODULES={' '.join(context.imports(folder / 'context/model_dir'))}"),
            *_labels(folder / "context" / "model_dir", base),
            *_secrets(found, folder),
            *_cache(environ),
            *("--file", str(context.DOCKERFILE), str(folder / "context")),
        ]
        status = _run(builder.command(flags, options), {**environ, "DOCKER_BUILDKIT": "1"})
    if status and doubt:
        print(f"error: the build failed, which may be why: {doubt}", file=sys.stderr)
    return status


def build_doubt(found: credential.Credential, *, here: bool) -> str:
    """Ask the feed before a build, and return what is wrong with it, or nothing.

    Parameters
    ----------
    here
        Whether the engine is on this machine. One elsewhere may reach a feed that we do not, so
        what is wrong is a warning then.

    Raises
    ------
    mlflow_sealed.image.context.BuildError
        If something is wrong, and the engine is here.
    mlflow_sealed.process.ProcessError
        If the CA bundle that is named is no file.
    """
    from mlflow_sealed.image import reach  # noqa: PLC0415 # half a second, at each docker build

    bundle(found)
    try:
        reach.check(found)
    except reach.FeedError as error:
        if here:
            raise context.BuildError(str(error)) from None
        print(f"warning: asked from this machine, not the engine's: {error}", file=sys.stderr)
        return str(error)
    return ""


def bundle(found: credential.Credential) -> Path | None:
    """Return the CA bundle that PIP_CERT or pip.conf names, if one does.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it is no file.
    """
    named = found.connection.cert
    if named and not Path(named).is_file():
        raise process.ProcessError(f"PIP_CERT ({named}) is no file: name the CA bundle, or unset")
    return Path(named).resolve() if named else None


def _secrets(found: credential.Credential, folder: Path) -> tuple[str, ...]:
    """Write the credential for the build and return the options that name it."""
    certificates = bundle(found)
    pip_conf = folder / "pip.conf"
    credential.write_install_conf(found, pip_conf, cert=CA_BUNDLE if certificates else None)
    more = ("--secret", f"id=ca_bundle,src={certificates}") if certificates else ()
    return ("--secret", f"id=pip_conf,src={pip_conf}", *more)


def _cache(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Take layers from an image that was pushed before, and let others take them from ours."""
    source = environ.get("DOCKER_CACHE_FROM")
    return ("--cache-from", source, "--build-arg", "BUILDKIT_INLINE_CACHE=1") if source else ()


def _labels(model: Path, base: str) -> list[str]:
    pairs = labels.labels(model, base).items()
    return [argument for key, value in pairs for argument in ("--label", f"{key}={value}")]


def _network(options: Sequence[str], found: credential.Credential) -> tuple[str, ...]:
    """Let the build reach a feed of this machine, such as the local one."""
    given = any(option.startswith("--network") for option in options)
    local = any(_is_loopback(urlsplit(url).hostname or "") for url in found.urls)
    return ("--network", "host") if local and not given else ()


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _why(error: OSError) -> str:
    """Return the reason without a path; shutil's own error has a text with one for each file."""
    files = error.args[0] if isinstance(error, shutil.Error) else []
    reason = error.strerror or re.sub(r"^\[Errno \d+\] |: '.*", "", str(files[0][2]))
    reason = reason.partition(" in [")[0]  # all folders that tempfile has tried
    return f"{reason} (TMPDIR can name another folder)"


def _pass_on(flags: Sequence[str], asked: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run what was asked for with the user's own configuration, in which we are not the builder."""
    client = environ.get("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "docker")
    command = asked if asked[:1] == ["build"] else ["builder", *asked]
    return _run([client, *flags, *command], environ)


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    child = subprocess.Popen(command, env=environ)
    try:
        status = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    return status if status >= 0 else 128 - status


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the signals that end a program into an exit, so that what was made is removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)  # once is enough: the clean-up is under way
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The feed's commands: serve the local one, publish to one, install from one, write the locks."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feed import credential, environments, lock, process, publish
from feed.local import PORT, LocalFeed

_PORTS = 65535
FAILURES = (credential.CredentialError, lock.LockError, process.ProcessError, publish.PublishError)


@process.command(*FAILURES)
def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    return status


@contextmanager
def credential_or_local(*, make: bool = False) -> Iterator[credential.Credential]:
    """Give the credential that is set, or with none the local feed's, started for the block.

    Parameters
    ----------
    make
        Make the local feed where there is none yet; without it, that is an error.

    Raises
    ------
    feed.credential.CredentialError
        If a credential is set and unusable, or none is set and there is no local feed.
    """
    local = LocalFeed()
    if credential.is_set(os.environ) or not (make or local.exists()):
        yield credential.read(os.environ)
    else:
        print("no feed credential is set: using the local feed in .feed/", file=sys.stderr)
        with local.serving(process.free_port()) as index:
            yield credential.from_index(index)


def publish_project(project: Path, target: publish.Target) -> str:
    """Build and publish a project whose wheel the lock has, and return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = publish.build_wheel(project, Path(folder))
        lock.check(wheel)
        uploaded = publish.publish(wheel, target)
        verb = "published" if uploaded else "already there, the same bytes:"
        return f"{verb} {wheel.name} sha256 {publish.sha256(wheel)} on {target.index.url}"


def _serve(options: argparse.Namespace) -> int:
    feed = LocalFeed()
    with feed.serving(options.port) as index:
        path = feed.write_pip_conf(options.port)
        print(f"serving {index.url}; in another shell:\n\n    export PIP_CONFIG_FILE={path}\n")
        print("Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(3600)


def _publish(options: argparse.Namespace) -> int:
    if path := os.environ.get("PYPIRC_PATH"):
        target = publish.target_from_pypirc(Path(path), options.repository)
        print(publish_project(options.project, target))
        return 0
    with credential_or_local() as found:
        print(publish_project(options.project, publish.target_from_credential(found.feed)))
    return 0


def _run(options: argparse.Namespace) -> int:
    with credential_or_local() as found:
        environ = credential.environment(found, os.environ)
        with environments.no_half_made(environ):
            status = process.status(options.argv, env=environ)
        if status:
            publish.check_access(found.feed)  # then that is why, in a line, whatever was said above
    return status


def _drop(options: argparse.Namespace) -> int:
    return process.status(options.argv, env=credential.removed(os.environ))


def _lock(options: argparse.Namespace) -> int:
    del options
    lock.lock()
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a port from 1 to {_PORTS}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the local feed on 127.0.0.1")
    serve.add_argument("--port", type=_port, default=PORT)
    serve.set_defaults(command=_serve)

    publishing = commands.add_parser("publish", help="build, check and upload a private package")
    publishing.add_argument("project", type=Path, nargs="?", default=lock.ROOT / "mypreprocessing")
    publishing.add_argument("--repository", help="the section of the .pypirc in PYPIRC_PATH")
    publishing.set_defaults(command=_publish)

    run = commands.add_parser("run", help="run a command that may install from the feed")
    run.add_argument("argv", nargs="+", metavar="ARGUMENT")
    run.set_defaults(command=_run)

    drop = commands.add_parser("drop", help="run a command that needs no credential, without one")
    drop.add_argument("argv", nargs="+", metavar="ARGUMENT")
    drop.set_defaults(command=_drop)

    commands.add_parser("lock", help="write the locks").set_defaults(command=_lock)
    return parser


if __name__ == "__main__":
    sys.exit(main())

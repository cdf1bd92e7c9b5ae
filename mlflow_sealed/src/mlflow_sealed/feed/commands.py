"""The feed's commands: serve the local one, publish to one, install from one, write the locks."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlflow_sealed import process, project, tracking_store
from mlflow_sealed.feed import (
    credential,
    doctor,
    environments,
    lock,
    reading,
    sources,
    upload_address,
)
from mlflow_sealed.feed.access import FAILURES, credential_or_local
from mlflow_sealed.feed.answers import FeedError
from mlflow_sealed.feed.local import HOME, PORT, LocalFeed
from mlflow_sealed.feed.packages import publish_package, publish_packages
from mlflow_sealed.parser import Parser

_PORTS: Final = 65535


@process.command(*FAILURES, doctor.DoctorError)
def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    status: int = options.command(options)
    return status


def _serve(options: argparse.Namespace) -> int:
    root = project.find().root
    feed = LocalFeed(root / HOME)
    with feed.serving(options.port) as index:
        path = feed.write_pip_conf(root / credential.TEMPLATE, options.port)
        print(f"serving {index.url}; in another shell:\n\n    export PIP_CONFIG_FILE={path}\n")
        print("Ctrl-C ends it.", flush=True)
        while True:
            time.sleep(3600)


def _publish(options: argparse.Namespace) -> int:
    if path := os.environ.get("PYPIRC_PATH"):
        if options.upload_url:
            raise upload_address.TargetError(
                "--upload-url and PYPIRC_PATH both name an upload address: leave one out"
            )
        target = upload_address.from_pypirc(
            Path(path), options.repository, connection=sources.given(os.environ).connection
        )
        _publish_to(target, options.package)
        return 0
    with credential_or_local(project.find().root) as found:
        target = upload_address.from_index(found.feed, options.upload_url)
        _publish_to(target, options.package)
    return 0


def _publish_to(target: upload_address.Target, package: Path | None) -> None:
    ours = project.find()
    if package is None:
        said = publish_packages(ours, target)
    else:
        said = [publish_package(package, ours, target)]
    print(*said, sep="\n")


def _run(options: argparse.Namespace) -> int:
    ours = project.find()
    tracking_store.prepare_for(options.argv, os.environ)
    with credential_or_local(ours.root) as found:
        environ = credential.environment(found, os.environ, locked=_installs_locks(options.argv))
        environ = environments.placed(environ, ours.root)
        with environments.no_half_made(environ):
            status = process.status(options.argv, env=environ)
        if status:
            _say_why(found.feed, ours.names.package)
    return status


def _installs_locks(argv: Sequence[str]) -> bool:
    """Return whether a command installs what is locked, and never chooses a version: MLflow's."""
    return Path(argv[0]).name == "mlflow"


def _say_why(feed: credential.Index, package: str) -> None:
    """Say why a command may have failed, whatever it said; its status stays its own."""
    try:
        reading.check_access(feed, package)
    except FeedError as error:
        print(f"error: {error}", file=sys.stderr)


def _doctor(_: argparse.Namespace) -> int:
    doctor.examine(project.find())
    return 0


def _drop(options: argparse.Namespace) -> int:
    tracking_store.prepare_for(options.argv, os.environ)
    return process.status(options.argv, env=credential.removed(os.environ))


def _lock(options: argparse.Namespace) -> int:
    lock.lock(project.find(), same_version=options.same_version)
    return 0


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a port from 1 to {_PORTS}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mlflow-sealed feed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve the local feed on 127.0.0.1")
    serve.add_argument("--port", type=_port, default=PORT)
    serve.set_defaults(command=_serve)

    publishing = commands.add_parser("publish", help="build, check and upload the private packages")
    publishing.add_argument("package", type=Path, nargs="?", help="the folder of one (all)")
    publishing.add_argument("--repository", help="the section of the .pypirc in PYPIRC_PATH")
    publishing.add_argument("--upload-url", help="the feed's upload address (by the server's form)")
    publishing.set_defaults(command=_publish)

    run = commands.add_parser("run", help="run a command that may install from the feed")
    run.add_argument("argv", nargs="+", metavar="ARGUMENT")
    run.set_defaults(command=_run)

    examine = commands.add_parser("doctor", help="show what is found of a credential, and try it")
    examine.set_defaults(command=_doctor)

    drop = commands.add_parser("drop", help="run a command that needs no credential, without one")
    drop.add_argument("argv", nargs="+", metavar="ARGUMENT")
    drop.set_defaults(command=_drop)

    locking = commands.add_parser("lock", help="write the locks")
    locking.add_argument(
        "--same-version",
        action="store_true",
        help="also of sources that changed under a version that was never published",
    )
    locking.set_defaults(command=_lock)
    return parser

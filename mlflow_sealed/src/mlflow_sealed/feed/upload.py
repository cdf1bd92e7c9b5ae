"""Check and upload a wheel with twine, and say in one line why a feed does not take it."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow_sealed import process
from mlflow_sealed.feed import answers, credential
from mlflow_sealed.feed.address import latin_1_for_utf_8
from mlflow_sealed.feed.answers import AnswerError, FeedError
from mlflow_sealed.feed.upload_address import Target

_RECORD: Final = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR) +", re.MULTILINE)
"""How a record begins that twine prints; its further lines are indented."""

_ANSWER: Final = re.compile(r"HTTPError: (\d{3}) .* from \S+(.*)")
_RAISED: Final = re.compile(r"^requests\.exceptions\.(\w+): (.*)", re.MULTILINE)


def check(wheel: Path) -> None:
    """Let twine check what a wheel says of itself, its README included.

    Raises
    ------
    mlflow_sealed.feed.answers.FeedError
        If an index would not take it or not show its README.
    """
    done = run_python("twine", "check", "--strict", str(wheel))
    if done.returncode:
        raise FeedError(f"twine check refuses {wheel.name}: {' '.join(done.stdout.split())}")


def upload(wheel: Path, target: Target) -> None:
    """Upload a wheel.

    Raises
    ------
    mlflow_sealed.feed.answers.AnswerError
        If the server answers with an error.
    mlflow_sealed.feed.answers.FeedError
        If it cannot be reached, or twine fails for a reason of its own.
    """
    reached = credential.without_proxy(target.upload_url, os.environ)
    connection = target.index.connection
    environ = {
        **connection.environment(reached),
        # requests prefers this variable to the CA bundle that twine is told of.
        **({"REQUESTS_CA_BUNDLE": connection.cert} if connection.cert else {}),
        "COLUMNS": "100000",  # twine breaks its lines where a terminal's end
        "TWINE_REPOSITORY_URL": target.upload_url,
        "TWINE_USERNAME": latin_1_for_utf_8(target.index.username),
        "TWINE_PASSWORD": latin_1_for_utf_8(target.index.password),
        "TWINE_NON_INTERACTIVE": "1",
    }
    options = ("--no-color", "upload", "--verbose", "--disable-progress-bar", str(wheel))
    done = run_python("twine", *options, environ=environ)
    if done.returncode:
        raise _failure(done.stdout, done.stderr, target)


def run_python(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module of this environment, with some variables more, and return what it said."""
    command = (sys.executable, "-m", module, *arguments)
    return process.captured(command, env={**os.environ, **(environ or {})})


def _failure(output: str, errors: str, target: Target) -> FeedError:
    """Return what twine's output says: an answer of the server's, no answer, or something else."""
    records = [" ".join(each.split()) for each in _RECORD.split(output)]
    if found := _ANSWER.match(records[-1]):
        status, phrase = int(found[1]), found[2]
        said = credential.scrub(answers.reason(status, phrase, _body(records)), target.index)
        return AnswerError(answers.upload_line(target.upload_url, status, said), status)
    if raised := _RAISED.findall(errors):
        return FeedError(answers.unreachable_line(target.upload_url, *raised[-1]))
    said = records[-1] if len(records) > 1 else next(iter(errors.splitlines()[-1:]), "")
    said = credential.scrub(said, target.index)
    return FeedError(f"twine could not upload to {target.upload_url}: {said or 'it said nothing'}")


def _body(records: list[str]) -> str:
    """Return the record after the last one that begins an answer: twine prints its body there."""
    starts = [at for at, each in enumerate(records) if each.startswith("Response from ")]
    after = records[starts[-1] + 1 : -1] if starts else []
    return after[0] if after else ""

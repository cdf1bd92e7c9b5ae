"""Test an image before it counts as built: run it, and compare its answers with the recorded ones.

The container gets no network, no capability and nothing to write to but /tmp. Requests go in
through ``docker exec``, so that a remote engine will do, and the rows stay out of the image.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from mlflow_sealed import process
from mlflow_sealed.image import docker

TOLERANCE: Final = 1e-6
"""The largest difference of two probabilities that are the same."""

RESTRICTIONS: Final = (
    *("--network", "none", "--read-only", "--tmpfs", "/tmp"),  # noqa: S108 # in the container
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)

_READY_S: Final = 120
_POST: Final = """
import os, sys, urllib.error, urllib.request
request = urllib.request.Request(
    f"http://127.0.0.1:{os.environ['PORT']}/invocations", sys.stdin.buffer.read(),
    {"Content-Type": "application/json"})
try:
    sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=60).read())
except urllib.error.HTTPError as error:
    sys.exit(f"the server answered with status {error.code}")
"""


class CheckError(Exception):
    """The image does not answer as it should; the message says how, without a value of a row."""


def check(image: str, example: Mapping[str, Any], held_out: Mapping[str, Any]) -> int:
    """Run an image and compare its answers.

    Parameters
    ----------
    image
        The name of the image.
    example
        A request, the model's own input example: it must be answered.
    held_out
        ``inputs``, and the ``probabilities`` that were recorded for them.

    Returns
    -------
    int
        The number of held-out rows, all predicted as recorded to `TOLERANCE`.

    Raises
    ------
    CheckError
        If the container does not get ready, does not answer, or answers otherwise.
    """
    with running(image) as name:
        probabilities(name, example["inputs"])
        compare(probabilities(name, held_out["inputs"]), held_out["probabilities"])
    return len(held_out["inputs"])


def compare(answered: Sequence[float], recorded: Sequence[float]) -> None:
    """Compare probabilities with those that were recorded.

    Raises
    ------
    CheckError
        If their number differs, or one of them by more than `TOLERANCE`.
    """
    if len(answered) != len(recorded):
        raise CheckError(f"got {len(answered)} predictions, expected {len(recorded)}")
    differences = [abs(one - other) for one, other in zip(answered, recorded, strict=True)]
    # Not '>': a NaN is a difference too.
    wrong = [difference for difference in differences if not difference <= TOLERANCE]
    if wrong:
        raise CheckError(
            f"{len(wrong)} of {len(recorded)} held-out rows are predicted otherwise than recorded, "
            f"by up to {max(wrong):g}, expected at most {TOLERANCE:g}"
        )


def probabilities(container: str, inputs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the probabilities that a running container answers.

    Raises
    ------
    CheckError
        If it does not answer with a prediction for each record.
    """
    body = json.dumps({"inputs": inputs}).encode()
    command = ("exec", "--interactive", container, "python", "-I", "-c", _POST)
    try:
        answer = json.loads(docker.ask(*command, stdin=body))
        found = [float(row["probability"]) for row in answer["predictions"]]
    except process.ProcessError as error:
        raise CheckError(f"the image does not answer: {error}") from error
    except (ValueError, KeyError, TypeError):
        raise CheckError("the image answers with something else than predictions") from None
    if len(found) != len(inputs):
        raise CheckError(f"got {len(found)} predictions for {len(inputs)} records")
    return found


@contextmanager
def running(image: str) -> Iterator[str]:
    """Run an image for the length of a ``with`` block; gives the container once /ping answers.

    Raises
    ------
    CheckError
        If it ends, or does not answer in time; the message has the last line of its log.
    """
    run = ("run", "--detach", "--env", "MLFLOW_MODELS_WORKERS=1", *RESTRICTIONS, image)
    name = docker.ask(*run).decode().strip()
    try:
        _wait(name)
        yield name
    finally:
        docker.ask("rm", "--force", "--volumes", name)


def _wait(name: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not _answers(name):
        state = docker.ask("inspect", "--format", "{{.State.Running}}", name).decode().strip()
        if state != "true" or time.monotonic() > deadline:
            lines = docker.ask("logs", "--tail", "1", name).decode(errors="replace").strip()
            how = "does not answer in time" if state == "true" else "ended at start"
            raise CheckError(f"the container {how}: {lines or 'it said nothing on its output'}")
        time.sleep(0.2)


def _answers(name: str) -> bool:
    command = ("exec", name, "python", "-S", "-m", "mlflow_sealed.server.run", "health")
    try:
        docker.ask(*command)
    except process.ProcessError:
        return False
    return True

"""The main job from end to end: publish, train, serve, predict; then everything is stopped.

    python -m examples.demo
    python -m examples.demo -P trees=300

What follows goes to ``mlflow run``.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import requests

from feed import credential, environments, process, publish
from feed.__main__ import FAILURES, credential_or_local, publish_project

ROOT: Final = Path(__file__).parent.parent
REQUEST: Final = ROOT / "examples" / "request.json"
MODEL: Final = "models:/diabetes@champion"

_NEXT: Final = """
What to do next:
  make serve   the same model on 127.0.0.1:5000; then, in another shell:
               curl -H 'Content-Type: application/json' -d @examples/request.json \\
                 http://127.0.0.1:5000/invocations
  make ui      the runs and the registered model on 127.0.0.1:5001
  make test    every test
"""


@process.command(*FAILURES, requests.RequestException, OSError)
def main(options: Sequence[str]) -> int:
    """Do the main job and return the exit status; a failure is one line on standard error.

    Parameters
    ----------
    options
        More options for ``mlflow run``.
    """
    os.chdir(ROOT)
    with credential_or_local(make=True) as found, environments.no_half_made(os.environ):
        _main_job(found, options)
    print(_NEXT)
    return 0


def _main_job(found: credential.Credential, options: Sequence[str]) -> None:
    environ = credential.environment(found, os.environ)
    environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")

    _step(1, "publish mypreprocessing to the feed")
    publish_project(ROOT / "mypreprocessing", publish.find_target(os.environ, found))

    _step(2, "mlflow run: train, evaluate, log and register")
    run = ("mlflow", "run", ".", "--env-manager", "uv", "--experiment-name", "diabetes")
    process.run((*run, *options), env=environ, hint="see its output above")

    _step(3, f"mlflow models serve {MODEL}")
    uv = ("--env-manager", "uv")
    prepare = ("mlflow", "models", "prepare-env", "-m", MODEL, *uv)
    process.run(prepare, env=environ, hint="see its output above")
    # A server needs no credential: it lives on after the installation.
    without = credential.removed(environ)
    port = process.free_port()
    serve = ("mlflow", "models", "serve", "-m", MODEL, *uv)
    address = ("-h", "127.0.0.1", "-p", str(port))
    with process.background((*serve, *address), port=port, timeout_s=120, env=without):
        _step(4, f"POST {REQUEST.relative_to(ROOT)} to /invocations")
        answer = predict(port)
    print(answer)


def predict(port: int) -> str:
    """Send the example request to a server on 127.0.0.1 and return its answer."""
    with requests.Session() as session:
        session.trust_env = False  # a patient's record is no business of a proxy's
        response = session.post(
            f"http://127.0.0.1:{port}/invocations",
            data=REQUEST.read_bytes(),
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
    if response.status_code != requests.codes.ok:
        raise process.ProcessError(f"the server answered with status {response.status_code}")
    return response.text


def _step(number: int, title: str) -> None:
    print(f"\n== {number}. {title}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

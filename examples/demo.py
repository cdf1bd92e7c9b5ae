"""The main job from end to end: publish, train, serve, predict; then everything is stopped.

    python -m examples.demo
    python -m examples.demo -P trees=300

What follows goes to ``mlflow run``. With VERBOSE=1 the output of all tools is shown.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import requests
from rich.console import Console

from examples import figures
from examples.steps import Steps
from mlflow_sealed import process, tracking_store
from mlflow_sealed.feed import credential, environments, upload_address
from mlflow_sealed.feed.access import FAILURES, credential_or_local
from mlflow_sealed.feed.packages import publish_packages
from mlflow_sealed.project import Project, read

ROOT: Final = Path(__file__).parent.parent
REQUEST: Final = ROOT / "examples" / "request.json"
LOG: Final = ROOT / ".cache" / "demo.log"
UV: Final = ("--env-manager", "uv")

_NEXT: Final = """
What to do next:
  make serve   the same model on 127.0.0.1:5000; then, in another shell:
               curl -H 'Content-Type: application/json' \\
                 -d @examples/request.json http://127.0.0.1:5000/invocations
  make ui      the runs and the registered model on 127.0.0.1:5001
  make test    every test"""


@process.command(*FAILURES, requests.RequestException, OSError)
def main(options: Sequence[str]) -> int:
    """Do the main job and return the exit status; a failure is one line on standard error.

    Parameters
    ----------
    options
        More options for ``mlflow run``.
    """
    os.chdir(ROOT)
    log = None if os.environ.get("VERBOSE") else LOG
    console = Console(file=sys.stdout, soft_wrap=True)
    if log:
        print(f"The whole path on real data. What the tools print goes to {_shown(log)}.")
    steps = Steps(4, log, console)
    ours = read(ROOT)
    placed = environments.placed(os.environ, ROOT)
    with credential_or_local(ROOT, make=True) as found, environments.no_half_made(placed):
        answer = _main_job(ours, found, steps, log, options)
    if shown := figures.table(steps.output()):
        console.print(shown, soft_wrap=False)
    if outcome := figures.outcome(steps.output()):
        print(outcome)
    print(f"\nThe answer to {_shown(REQUEST)} (pred 1: {ours.words.condition}, 0: none):")
    print(answer.replace("[", "[\n  ").replace("]", "\n]"))
    print(_NEXT)
    return 0


def _main_job(
    ours: Project,
    found: credential.Credential,
    steps: Steps,
    log: Path | None,
    options: Sequence[str],
) -> str:
    """Publish, train and serve, and return the answer to the example request."""
    environ = environments.placed(credential.environment(found, os.environ), ROOT)
    environ.setdefault(tracking_store.URI, ours.tracking.default)
    tracking_store.prepare(environ, experiment=ours.names.experiment)
    hint = f"see its output above, all of it in {_shown(log)}" if log else "see its output above"
    with steps.step("publish the private packages to the feed"):
        target = upload_address.find(os.environ, found)
        steps.say("\n".join(publish_packages(ours, target)))
    with steps.step("train, measure and register the model (mlflow run)"):
        run = ("mlflow", "run", ".", *UV, "--experiment-name", ours.names.experiment, *options)
        process.run(run, env=environ, log=log, hint=hint)
    with steps.step("make the environment that serves it (mlflow models prepare-env)"):
        prepare = ("mlflow", "models", "prepare-env", "-m", ours.champion, *UV)
        process.run(prepare, env=environ, log=log, hint=hint)
    with steps.step("serve it and ask for a prediction (mlflow models serve)"):
        # A server needs no credential: it lives on after the installation.
        return _served_answer(ours, credential.removed(environ), log)


def _served_answer(ours: Project, environ: dict[str, str], log: Path | None) -> str:
    from mlflow.environment_variables import (  # noqa: PLC0415 # MLflow, which takes a second
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    )

    from mlflow_sealed.flavor.download import fetch  # noqa: PLC0415 # likewise
    from mlflow_sealed.tracking import use_default  # noqa: PLC0415 # likewise

    use_default(ours)
    os.environ[MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.name] = "false"  # the step has its own line
    port = process.free_port()
    address = ("-h", "127.0.0.1", "-p", str(port))
    with tempfile.TemporaryDirectory() as folder:
        # A copy: a server leaves bytecode where its model is, and that is no part of the model.
        model = fetch(ours.champion, Path(folder) / "model")
        serve = ("mlflow", "models", "serve", "-m", str(model), *UV, *address)
        with process.background(serve, port=port, timeout_s=120, env=environ, log=log):
            return predict(port)


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


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

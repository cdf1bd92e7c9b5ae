"""The image's commands: build and test it, name and record it for a registry."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from mlflow_sealed import process, project, tracking
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.access import FAILURES, credential_or_local
from mlflow_sealed.image import check, docker, docker_config, plugin, reach, release, sbom
from mlflow_sealed.image.origin import active_run
from mlflow_sealed.parser import Parser
from mlflow_sealed.project import Project

_SLACK: Final = 16 << 20
"""What a build writes to the temporary folder besides the model, in bytes, and some to spare."""


@process.command(*FAILURES, check.CheckError, MlflowException)
def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    ours = project.find()
    tracking.use_default(ours)
    options.command(ours, options)
    return 0


def build_command(ours: Project) -> tuple[str, ...]:
    """Return MLflow's own command for the champion's image."""
    return (
        *("mlflow", "models", "build-docker", "-m", ours.champion),
        *("-n", ours.names.image, "--env-manager", "local"),
    )


def build(ours: Project) -> None:
    """Build the champion's image, test it, and log what was made to the model's run.

    Raises
    ------
    mlflow_sealed.image.check.CheckError
        If the image does not answer as recorded; its tag is removed then.
    mlflow_sealed.process.ProcessError, mlflow_sealed.feed.credential.CredentialError
        If the build fails, or the model's run is gone, without which no image can be tested.
    mlflow_sealed.feed.answers.FeedError
        If the feed refuses the login or cannot be reached, and the engine is on this machine.
    """
    tracking.check_artifacts(ours.champion)
    model = Model.load(ours.champion)
    active_run(model.run_id, of=ours.champion)  # before a build of minutes
    need_room(model.model_size_bytes or 0)
    folder = config(ours)
    with credential_or_local(ours.root) as found:
        environ = credential.environment(found, os.environ)
        if docker.find_builder(environ).is_here((), environ):
            plugin.bundle(found)
            reach.check(found)
        environ["DOCKER_CONFIG"] = str(folder)
        process.run(build_command(ours), env=environ, hint="see its output above")
    image = image_name(ours)
    try:
        test(image)
    except BaseException:
        docker.ask("image", "rm", "--no-prune", image)
        print(f"the tag {image} is removed", file=sys.stderr)
        raise


def need_room(model_bytes: int) -> None:
    """Stop if the temporary folder has no room for MLflow's copy of a model, and for ours.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it has less than that.
    """
    needed = 2 * model_bytes + _SLACK
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise process.ProcessError(
            f"the temporary folder has {free >> 20} MiB free, and the build needs {needed >> 20}: "
            "free some, or set TMPDIR to a folder with more room"
        )


def config(ours: Project) -> Path:
    """Make the DOCKER_CONFIG folder of a project and return its path.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If docker on PATH is another program, or no client can build with BuildKit; or the folder
        cannot be made.
    """
    docker.refuse_imitation(os.environ)
    docker.find_builder(os.environ)
    folder = ours.root / docker_config.FOLDER
    return docker_config.make(os.environ, ours.lock("server"), folder)


def image_name(ours: Project) -> str:
    """Return the name of the image, with its tag."""
    return f"{ours.names.image}:latest"


def test(image: str) -> None:
    """Compare an image's answers with those of its run, and log what it is made of there."""
    inspected = json.loads(docker.ask("image", "inspect", image))[0]
    run, model = (inspected["Config"]["Labels"][f"mlflow.{key}.id"] for key in ("run", "model"))
    example = _json(f"models:/{model}", "serving_input_example.json")
    held_out = _json(f"runs:/{run}/held_out.json")
    rows = check.check(image, example, held_out)
    print(f"{image}: {rows} held-out rows are predicted as recorded, to {check.TOLERANCE:g}")
    with check.running(image) as container:
        bill = sbom.make(container, image, inspected["Id"])
    client = mlflow.MlflowClient()
    client.log_text(run, bill, "image/sbom.cdx.json")
    for key, value in {"image.name": image, "image.digest": inspected["Id"]}.items():
        client.set_tag(run, key, value)
    print(f"{image}: {inspected['Id']}, with its SBOM logged to run {run}")


def _json(uri: str, name: str = "") -> dict[str, Any]:
    tracking.check_artifacts(uri)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder), name)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def _due(ours: Project, options: argparse.Namespace) -> None:
    reason = release.due(ours.names.model, options.repository, ours.lock("server"))
    if reason:
        print(f"an image is due: {reason}")
    _tell_pipeline("due", "true" if reason else "false")


def _tag(ours: Project, options: argparse.Namespace) -> None:
    tag = release.tag(image_name(ours), options.repository, ours.lock("server"))
    print(f"push it: docker push {options.repository}:{tag}")
    _tell_pipeline("tag", tag)


def _record(ours: Project, options: argparse.Namespace) -> None:
    recorded = release.record(image_name(ours), options.repository, ours.lock("server"))
    print(f"recorded: {recorded}")


def _tell_pipeline(name: str, value: str) -> None:
    """Set an output variable where Azure Pipelines runs us (it sets TF_BUILD)."""
    if os.environ.get("TF_BUILD"):
        print(f"##vso[task.setvariable variable={name};isOutput=true]{value}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mlflow-sealed image", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    building = commands.add_parser("build", help="build the champion's image, and test it")
    building.set_defaults(command=lambda ours, _: build(ours))
    configuring = commands.add_parser(
        "config", help="make the DOCKER_CONFIG folder and print its path"
    )
    configuring.set_defaults(command=lambda ours, _: print(config(ours)))
    for name, run, text in (
        ("due", _due, "tell whether the champion has an image of this serving code"),
        ("tag", _tag, "name the tested image for a repository, to be pushed"),
        ("record", _record, "write down at the model's version what was pushed"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("repository", metavar="REPOSITORY", help="REGISTRY/NAME")
        command.set_defaults(command=run)
    return parser

"""The image's commands: build and test it, name and record it for a registry."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.exceptions import MlflowException

from feed import credential, process
from feed.__main__ import FAILURES, credential_or_local
from mlflow_model.image import check, docker, docker_config, release, sbom
from mlflow_model.image.origin import active_run

NAME: Final = "diabetes"
IMAGE: Final = f"{NAME}:latest"
MODEL: Final = f"models:/{NAME}@champion"
BUILD: Final = (
    *("mlflow", "models", "build-docker", "-m", MODEL),
    *("-n", NAME, "--env-manager", "local"),
)


@process.command(*FAILURES, check.CheckError, MlflowException)
def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    options.run(options)
    return 0


def build() -> None:
    """Build the champion's image, test it, and log what was made to the model's run.

    Raises
    ------
    mlflow_model.image.check.CheckError
        If the image does not answer as recorded; its tag is removed then.
    feed.process.ProcessError, feed.credential.CredentialError
        If the build fails, or the model's run is gone, without which no image can be tested.
    """
    active_run(mlflow.models.get_model_info(MODEL).run_id, of=MODEL)  # before a build of minutes
    with credential_or_local() as found:
        environ = credential.environment(found, os.environ)
        environ["DOCKER_CONFIG"] = str(docker_config.make(os.environ))
        process.run(BUILD, env=environ, hint="see its output above")
    try:
        test(IMAGE)
    except BaseException:
        docker.ask("image", "rm", "--no-prune", IMAGE)
        print(f"the tag {IMAGE} is removed", file=sys.stderr)
        raise


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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder), name)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def _due(options: argparse.Namespace) -> None:
    reason = release.due(NAME, options.repository)
    if reason:
        print(f"an image is due: {reason}")
    _tell_pipeline("due", "true" if reason else "false")


def _tag(options: argparse.Namespace) -> None:
    tag = release.tag(IMAGE, options.repository)
    print(f"push it: docker push {options.repository}:{tag}")
    _tell_pipeline("tag", tag)


def _record(options: argparse.Namespace) -> None:
    print(f"recorded: {release.record(IMAGE, options.repository)}")


def _tell_pipeline(name: str, value: str) -> None:
    """Set an output variable where Azure Pipelines runs us (it sets TF_BUILD)."""
    if os.environ.get("TF_BUILD"):
        print(f"##vso[task.setvariable variable={name};isOutput=true]{value}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlflow_model.image", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    building = commands.add_parser("build", help="build the champion's image, and test it")
    building.set_defaults(run=lambda _: build())
    config = commands.add_parser("config", help="make the DOCKER_CONFIG folder and print its path")
    config.set_defaults(run=lambda _: print(docker_config.make(os.environ)))
    for name, run, text in (
        ("due", _due, "tell whether the champion has an image of this serving code"),
        ("tag", _tag, "name the tested image for a repository, to be pushed"),
        ("record", _record, "write down at the model's version what was pushed"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("repository", metavar="REPOSITORY", help="REGISTRY/NAME")
        command.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())

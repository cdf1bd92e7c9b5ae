"""From a tested image to a registry: is one due, what is it called there, what was pushed.

What was pushed is written down at the champion's version in the model registry. That is the one
place to ask which image serves a model, and whether it is of this serving code.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import mlflow

from mlflow_sealed.image import context, docker
from mlflow_sealed.image.origin import active_run
from mlflow_sealed.process import ProcessError

REFERENCE: Final = "image.reference"
"""The tag of a model version that has REPOSITORY@DIGEST of its image."""

SERVING: Final = "image.serving_sha256"
"""The tag of a model version that has the hash of the code that its image serves with."""


def serving_sha256(lock: Path) -> str:
    """Return the SHA-256 of what serves: the Dockerfile, and the server's lock.

    The lock has the hash of this distribution, and so of all of the server's code.
    """
    digest = hashlib.sha256()
    for path in (context.DOCKERFILE, lock):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def due(model: str, repository: str, lock: Path) -> str | None:
    """Return why the champion of a model needs an image, or None if it has one in a repository."""
    version = mlflow.MlflowClient().get_model_version_by_alias(model, "champion")
    reference, uri = version.tags.get(REFERENCE, ""), f"models:/{model}/{version.version}"
    if not reference.startswith(f"{repository}@"):
        return f"{uri} has no image in {repository}"
    if version.tags.get(SERVING) != serving_sha256(lock):
        return f"the serving code has changed since {reference} was built"
    print(f"{reference} is the image of {uri} and of this serving code")
    return None


def tag(image: str, repository: str, lock: Path) -> str:
    """Name a tested image for a repository, and return the tag that it gets there.

    The tag is of the model's version and the serving code, so that it never means another image.
    ``latest`` is there too, for builds to take layers from.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If the image is not the one that was tested, or its run is gone.
    """
    name = _tag(_tested(image), lock)
    for each in (name, "latest"):
        docker.ask("tag", image, f"{repository}:{each}")
    return name


def record(image: str, repository: str, lock: Path) -> str:
    """Write down where a tested image was pushed to, and return REPOSITORY@DIGEST.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If the image is not the one that was tested, was not pushed, or its run is gone.
    """
    tested = _tested(image)
    pushed = _inspect(f"{repository}:{_tag(tested, lock)}")
    if pushed["Id"] != tested["Id"]:
        raise ProcessError(
            f"{repository}:{_tag(tested, lock)} is not {image}: tag and push it again"
        )
    digests = [each for each in pushed["RepoDigests"] if each.startswith(f"{repository}@")]
    if not digests:
        raise ProcessError(f"{repository}:{_tag(tested, lock)} was not pushed: push it first")
    labels, client = tested["Config"]["Labels"], mlflow.MlflowClient()
    name, version = labels["mlflow.model.name"], labels["mlflow.model.version"]
    for key, value in {SERVING: serving_sha256(lock), REFERENCE: digests[0]}.items():
        client.set_model_version_tag(name, version, key, value)
    client.set_tag(labels["mlflow.run.id"], REFERENCE, digests[0])
    return str(digests[0])


def _tag(inspected: dict[str, Any], lock: Path) -> str:
    version = inspected["Config"]["Labels"]["mlflow.model.version"]
    return f"{version}-{serving_sha256(lock)[:12]}"


def _tested(image: str) -> dict[str, Any]:
    inspected = _inspect(image)
    run_id = (inspected["Config"]["Labels"] or {}).get("mlflow.run.id")
    run = active_run(run_id, of=image) if run_id else None
    tested = run.data.tags.get("image.digest") if run else "no image of its kind"
    if inspected["Id"] != tested:
        raise ProcessError(f"{image} is {inspected['Id']}, tested was {tested}: make image")
    return inspected


def _inspect(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker.ask("image", "inspect", image))[0]
    return found

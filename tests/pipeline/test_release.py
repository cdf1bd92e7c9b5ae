"""What stands between a tested image and the record of it: only what was tested, and was pushed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_sealed.image import docker, release
from mlflow_sealed.process import ProcessError
from tests.conftest import PROJECT
from tests.mlflow_sealed.image import standin
from tests.pipeline.world import World

LOCK = PROJECT.lock("server")

pytestmark = pytest.mark.usefixtures("asked")


@pytest.mark.parametrize("command", [release.tag, release.record])
def test_an_image_that_was_not_tested_is_refused(
    command: Callable[[str, str, Path], str], world: World
) -> None:
    with pytest.raises(ProcessError, match=r"tested was no image of its kind: make image"):
        command(standin.NAME, world.repository, LOCK)


def test_an_image_that_was_built_again_is_refused(world: World) -> None:
    run = str(world.champion.run_id)
    tested = world.client.get_run(run).data.tags["image.digest"]
    world.client.set_tag(run, "image.digest", "sha256:other")
    with pytest.raises(ProcessError, match="tested was sha256:other: make image"):
        release.tag("diabetes:latest", world.repository, LOCK)
    world.client.set_tag(run, "image.digest", tested)


def test_an_image_that_was_not_pushed_is_not_recorded() -> None:
    repository = "elsewhere.example/diabetes"
    name = release.tag("diabetes:latest", repository, LOCK)
    with pytest.raises(ProcessError, match=f"{repository}:{name} was not pushed: push it first"):
        release.record("diabetes:latest", repository, LOCK)
    docker.ask("tag", standin.NAME, f"{repository}:{name}")
    with pytest.raises(ProcessError, match="is not diabetes:latest: tag and push it again"):
        release.record("diabetes:latest", repository, LOCK)
    docker.ask("image", "rm", f"{repository}:{name}", f"{repository}:latest")

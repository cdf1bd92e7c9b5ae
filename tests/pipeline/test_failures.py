"""What goes wrong stops the run at the step where it belongs, with a clear line."""

import shutil
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.local import LocalFeed
from tests.environ import ROOT
from tests.mlflow_sealed.image.secrets_search import found
from tests.package import VERSION
from tests.pipeline import surroundings
from tests.pipeline.agent import FAILED, SKIPPED, SUCCEEDED, Agent, Run, StageResult
from tests.pipeline.test_pipeline import PUBLISH, PULL_REQUEST, STAGES, TRAIN
from tests.pipeline.world import CONNECTION, FEED, World

FEATURES = "mypreprocessing/src/mypreprocessing/features.py"
FAILING = '''"""A test that fails."""


def test_it_fails() -> None:
    assert str(1) == "2"
'''
CREDENTIALS = (
    *("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PYPIRC_PATH", "UV_INDEX"),
    *("DOCKER_CONFIG", "SYSTEM_ACCESSTOKEN", "MLFLOW_TRACKING_URI"),
)


def done(*stages: str, **outputs: str) -> dict[str, StageResult]:
    """Stages that have succeeded before, as when the later ones are run again."""
    return {name: StageResult(name, SUCCEEDED, outputs=outputs) for name in stages}


def stopped(run: Run, stage: str, step: str) -> str:
    """Check that a run has stopped at a step of a stage, and return that step's output."""
    place = STAGES.index(stage)
    assert run.results == {
        **dict.fromkeys(STAGES[:place], SUCCEEDED),
        stage: FAILED,
        **dict.fromkeys(STAGES[place + 1 :], SKIPPED),
    }
    assert run.failed.title == step
    steps = run.stages[stage].steps
    after = steps[[each.title for each in steps].index(step) + 1 :]
    assert {each.result for each in after} <= {SKIPPED}
    return run.failed.text


def test_a_wrong_password_stops_the_publishing(world: World) -> None:
    agent = world.with_services(feeds={FEED: replace(world.index, password="wr0ng/+secret")})  # noqa: S106 # it is none
    run = agent.run(world.pipeline(), done=done("check"))
    said = stopped(run, "package", PUBLISH)
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    told = f"error: {world.index.url} refuses the user name or password (status 403)"
    assert line.startswith(told)
    assert "check them" in line
    assert not found(said.encode(), "wr0ng/+secret")


def test_a_feed_that_is_down_stops_the_publishing(world: World) -> None:
    url = f"http://127.0.0.1:{process.free_port()}/simple/"
    agent = world.with_services(feeds={FEED: replace(world.index, url=url)})
    said = stopped(agent.run(world.pipeline(), done=done("check")), "package", PUBLISH)
    assert f"error: {url} cannot be reached (ConnectionError): is it up" in said


def test_a_changed_source_under_an_old_version_stops_the_publishing(
    world: World, tmp_path: Path
) -> None:
    changed = (ROOT / FEATURES).read_text(encoding="utf-8") + "\n# changed\n"
    agent = world.with_sources(tmp_path, {FEATURES: changed})
    before = sorted(world.feed.packages.iterdir()) if world.feed.packages.exists() else []
    said = stopped(agent.run(world.pipeline(), done=done("check")), "package", PUBLISH)
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "raise the version" in line
    assert sorted(world.feed.packages.iterdir()) == before


@pytest.fixture(scope="module")
def pull_request(world: World, first: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A pull request with a test that fails; its caches are those of a run before."""
    assert first.results["check"] == SUCCEEDED
    changes = {"tests/test_failing.py": FAILING}
    agent = world.with_sources(tmp_path_factory.mktemp("failing"), changes)
    agent = replace(agent, services=replace(agent.services, published=_published(agent)))
    arguments = "-n 0 tests/test_failing.py"
    return agent.run(world.pipeline(testArguments=arguments), PULL_REQUEST)


def test_a_failing_test_stops_the_run_and_its_result_is_published(
    world: World, pull_request: Run
) -> None:
    check = pull_request.stages["check"]
    assert pull_request.results == {**dict.fromkeys(STAGES, SKIPPED), "check": FAILED}
    assert pull_request.failed.title == "Test"
    assert "FAILED tests/test_failing.py::test_it_fails" in pull_request.failed.text
    assert [step.result for step in check.steps][-3:] == [FAILED, SUCCEEDED, SKIPPED]
    (path,) = _published(world.agent).rglob("junit.xml")
    suite = ET.parse(path).getroot().find("testsuite")  # noqa: S314 # our own pytest's
    assert suite is not None
    assert suite.get("failures") == "1"


def test_a_pull_request_has_no_credential_in_its_environment(
    world: World, pull_request: Run
) -> None:
    steps = pull_request.stages["check"].steps
    assert len(steps) > 5
    for step in steps:
        assert [name for name in CREDENTIALS if name in step.environ] == []
        assert found(repr(step.environ).encode(), *world.agent.services.secrets) == []


def test_control_the_steps_of_main_have_credentials(world: World, first: Run) -> None:
    """The names and the search above are right: here they find what is there."""
    environ = first.step(TRAIN).environ
    assert {"PIP_EXTRA_INDEX_URL", "MLFLOW_TRACKING_URI"} <= environ.keys()
    assert found(repr(environ).encode(), *world.agent.services.secrets)
    assert "PYPIRC_PATH" in first.step(PUBLISH).environ
    assert "DOCKER_CONFIG" in first.step("Name it for the registry").environ


@pytest.fixture
def impostor(tmp_path: Path, wheel: Path, world: World) -> Iterator[Index]:
    """A feed with all that ours has, and our package's name and version with other bytes."""
    feed = LocalFeed(tmp_path / "impostor")
    with feed.serving(process.free_port()) as index:
        shutil.copytree(world.feed.packages, feed.packages, dirs_exist_ok=True)
        with (
            zipfile.ZipFile(wheel) as genuine,
            zipfile.ZipFile(feed.packages / wheel.name, "w") as other,
        ):
            for member in genuine.infolist():
                other.writestr(member, genuine.read(member))
            other.comment = b"other bytes"
        yield index


@pytest.mark.usefixtures("first")
def test_a_feed_with_an_impostor_stops_the_training(world: World, impostor: Index) -> None:
    before = world.versions(), len(world.finished())
    agent = world.with_services(feeds={FEED: impostor})
    run = agent.run(world.pipeline(), done=done("check", "package"))
    assert f"Hash mismatch for `mypreprocessing=={VERSION}`" in stopped(run, "train", TRAIN)
    assert (world.versions(), len(world.finished())) == before


@pytest.mark.usefixtures("first")
def test_a_registry_that_refuses_stops_the_push(world: World) -> None:
    tags = world.champion.tags
    wrong = replace(world.registry, password="wr0ng/+secret")  # noqa: S106 # it is none
    agent = world.with_services(connections={CONNECTION: wrong})
    before = done("check", "package", "train", **{"train.image.due": "true"})
    run = agent.run(world.pipeline(imageName="refused"), done=before)
    said = stopped(run, "image", "Push it")
    assert "unauthorized: authentication required" in said
    assert surroundings.tags(world.registry, "refused") == []
    assert world.champion.tags == tags


def _published(agent: Agent) -> Path:
    return agent.folder.parent / "published-by-a-pull-request"

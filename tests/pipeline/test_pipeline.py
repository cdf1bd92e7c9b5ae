"""A commit becomes a pushed image in four stages; the same commit again changes nothing."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mlflow_sealed.image import check, docker, release
from tests.conftest import PROJECT
from tests.mlflow_sealed.image.secrets_search import found, found_below, layers
from tests.pipeline import definition, tasks
from tests.pipeline.agent import SKIPPED, SUCCEEDED, Event, Run, StageResult
from tests.pipeline.world import FEED, World

STAGES = ("check", "package", "train", "image")
PUBLISH = "Build the packages, check their hashes, publish them"
TRAIN = "Train and register"
RECORD = "Record its digest at the model's version"
PULL_REQUEST = Event("PullRequest", "refs/pull/7/merge", target="refs/heads/main")
CARELESS = f"""
trigger: {{branches: {{include: [main]}}}}
pr: none
stages:
  - stage: careless
    jobs:
      - job: careless
        steps:
          - task: PipAuthenticate@1
            inputs: {{artifactFeeds: {FEED}, onlyAddExtraIndex: true}}
          - task: TwineAuthenticate@1
            inputs: {{artifactFeed: {FEED}}}
          - script: |
              set -x
              make publish INDEX="$PIP_EXTRA_INDEX_URL" --dry-run
            displayName: Index
          - script: |
              set -x
              password=$(grep ^password "$PYPIRC_PATH")
            displayName: Password
          - script: |
              set -x
              printf %s "$PIP_EXTRA_INDEX_URL" | base64 --wrap=0
            displayName: Encoded
          - script: echo "<testsuite name='$PIP_EXTRA_INDEX_URL'/>" > junit.xml
          - task: PublishTestResults@2
            inputs: {{testResultsFiles: junit.xml}}
"""


@pytest.fixture(scope="module")
def pulled(world: World, first: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, pulled by its digest, as REPOSITORY@DIGEST; the engine had none of it left."""
    assert first.results["image"] == SUCCEEDED
    reference = world.champion.tags[release.REFERENCE]
    images = docker.ask("images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").decode()
    ours = {line.split()[1] for line in images.splitlines() if not line.startswith("python ")}
    docker.ask("image", "rm", "--force", *ours)
    docker.ask("builder", "prune", "--all", "--force")
    config = tmp_path_factory.mktemp("docker")
    tasks.log_in(world.registry, config)
    said = docker.ask("--config", str(config), "pull", reference).decode()
    assert said.count("Pull complete") >= 3, said
    docker.ask("tag", reference, "diabetes:latest")  # as it was
    return str(reference)


@pytest.fixture(scope="module")
def careless_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("careless")


@pytest.fixture(scope="module")
def careless(world: World, careless_folder: Path) -> Run:
    """Steps with `set -x` that handle the credential as ours do not."""
    path = careless_folder / "pipeline.yml"
    path.write_text(CARELESS, encoding="utf-8")
    agent = world.with_services(published=careless_folder)
    return agent.run(definition.load(path, {}))


def test_all_four_stages_run_and_succeed(first: Run) -> None:
    assert first.results == dict.fromkeys(STAGES, SUCCEEDED)
    assert {step.result for step in first.steps} == {SUCCEEDED}


def test_the_steps_are_the_commands_that_developers_run(first: Run) -> None:
    scripts = [step for step in first.steps if step.text.startswith("Script contents:")]
    commands = [step.text.splitlines()[1] for step in scripts]
    assert commands == [
        *("make lint", "make test", "make publish", "make train", "make due"),
        *("make image", "make tag", "make record"),
    ]


def test_tests_and_coverage_are_published(world: World, first: Run) -> None:
    assert first.step("Publish the test results").text.startswith("junit.xml: ")
    (folder,) = world.agent.services.published.iterdir()
    suite = ET.parse(folder / "junit.xml").getroot().find("testsuite")  # noqa: S314 # pytest's
    assert suite is not None
    assert int(suite.get("tests", 0)) > 20
    coverage = ET.parse(folder / "coverage.xml").getroot()  # noqa: S314 # coverage's
    assert "fit.py" in {each.get("filename") for each in coverage.iter("class")}


def test_the_package_is_on_the_feed_with_the_hash_of_the_lock(
    world: World, first: Run, wheel: Path
) -> None:
    assert f"published {wheel.name} sha256 " in first.step(PUBLISH).text
    published = world.feed.packages / wheel.name
    assert published.read_bytes() == wheel.read_bytes()


def test_the_training_is_on_the_server_and_of_this_commit(world: World, first: Run) -> None:
    assert first.results["train"] == SUCCEEDED
    run = world.client.get_run(str(world.champion.run_id))
    assert run.data.tags["mlflow.source.git.commit"] == world.agent.commit()
    assert run.data.tags["mypreprocessing.installed_from"] == "index"
    assert run.data.params["repeats"] == "1"
    assert (world.folder / "mlflow" / "artifacts").is_dir()


def test_the_bill_of_materials_and_the_digest_are_logged_to_the_run(
    world: World, first: Run
) -> None:
    run = world.client.get_run(str(world.champion.run_id))
    names = [each.path for each in world.client.list_artifacts(run.info.run_id, "image")]
    assert names == ["image/sbom.cdx.json"]
    reference = run.data.tags[release.REFERENCE]
    assert reference.startswith(f"{world.repository}@sha256:")
    assert world.champion.tags[release.REFERENCE] == reference
    assert f"recorded: {reference}" in first.step(RECORD).text


def test_the_image_that_is_pulled_by_digest_predicts_as_recorded(world: World, pulled: str) -> None:
    held_out = _held_out(world)
    with check.running(pulled) as container:
        answered = check.probabilities(container, held_out["inputs"])
    check.compare(answered, held_out["probabilities"])
    assert len(answered) == 154


def test_the_image_says_which_commit_it_is_of(world: World, pulled: str) -> None:
    labels = json.loads(docker.ask("inspect", pulled))[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == world.agent.commit()
    assert labels["mlflow.model.version"] == str(world.champion.version)


def test_the_second_run_publishes_nothing_trains_nothing_new_and_succeeds(
    world: World, first: Run, second: Run
) -> None:
    assert first.results["image"] == SUCCEEDED
    assert second.results == {**dict.fromkeys(STAGES, SUCCEEDED), "image": SKIPPED}
    assert "already there, the same bytes" in second.step(PUBLISH).text
    assert "is this very model and stays the champion" in second.step(TRAIN).text
    assert second.stages["train"].outputs == {"train.image.due": "false"}
    assert world.versions() == ["1"]
    assert len(world.finished()) == 2


@pytest.mark.usefixtures("asked")
def test_another_serving_code_makes_an_image_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert release.due("diabetes", world.repository, PROJECT.lock("server")) is None
    assert release.due("diabetes", "elsewhere.example/diabetes", PROJECT.lock("server")) == (
        "models:/diabetes/1 has no image in elsewhere.example/diabetes"
    )
    monkeypatch.setattr(release, "serving_sha256", lambda _: "other")
    assert str(release.due("diabetes", world.repository, PROJECT.lock("server"))).startswith(
        "the serving code has changed"
    )


def test_a_pull_request_runs_the_checks_alone(world: World, first: Run) -> None:
    run = world.agent.run(world.pipeline(), PULL_REQUEST, done={"check": first.stages["check"]})
    assert run.results == {**dict.fromkeys(STAGES, SKIPPED), "check": SUCCEEDED}


def test_no_step_prints_a_credential(world: World, first: Run, second: Run) -> None:
    secrets = world.agent.services.secrets
    assert len(secrets) == 2
    steps = [*first.steps, *second.steps]
    assert {step.title for step in steps if found(step.raw, *secrets)} == set()
    given = {step.title for step in steps if found(repr(step.environ).encode(), world.token)}
    assert TRAIN in given, "the credential was in no step's environment: nothing was looked for"


@pytest.mark.parametrize("title", ["Index", "Password", "Encoded"])
def test_control_steps_with_xtrace_print_it_and_it_is_found(
    world: World, careless: Run, title: str
) -> None:
    assert found(careless.step(title).raw, world.token)


def test_no_published_file_has_a_credential(world: World, first: Run, second: Run) -> None:
    """What the tasks publish, what is on the feed, the server and the registry, and the caches."""
    assert {first.results["image"], second.results["train"]} == {SUCCEEDED}
    secrets = world.agent.services.secrets
    packages, artifacts = world.feed.packages, world.folder / "mlflow"
    for folder in (world.agent.services.published, packages, artifacts, world.folder / "registry"):
        assert any(path.is_file() for path in folder.rglob("*"))
        assert found_below(folder, *secrets) == {}


def test_control_a_published_file_with_the_credential_is_found(
    world: World, careless: Run, careless_folder: Path
) -> None:
    assert careless.results == {"careless": SUCCEEDED}
    held = found_below(careless_folder, world.token)
    assert [Path(name).name for name in held] == ["junit.xml"]


def test_no_cache_that_a_run_saved_has_a_credential(world: World, second: Run) -> None:
    assert second.results["train"] == SUCCEEDED
    earlier, saved = sorted(
        world.agent.services.caches.iterdir(),
        key=lambda entry: (entry / "fingerprint").stat().st_mtime,
    )
    known = {path.stat().st_ino for path in earlier.rglob("*") if path.is_file()}
    new = [
        path
        for path in saved.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_ino not in known
    ]
    assert new
    secrets = world.agent.services.secrets
    assert [path for path in new if found(path.read_bytes(), *secrets)] == []


def test_no_layer_of_the_pushed_image_has_a_credential(world: World, pulled: str) -> None:
    secrets = world.agent.services.secrets
    saved = docker.ask("save", pulled)
    assert [names for layer in layers(saved) if (names := found(layer, *secrets))] == []
    for shown in (("history", "--no-trunc"), ("inspect",)):
        assert found(docker.ask(*shown, pulled), *secrets) == []


def test_the_checks_have_no_credential_in_their_environment(world: World, first: Run) -> None:
    for step in first.stages["check"].steps:
        assert found(repr(step.environ).encode(), *world.agent.services.secrets) == []


@pytest.mark.usefixtures("pulled")
def test_a_machine_that_has_built_nothing_takes_the_layers_from_the_registry(world: World) -> None:
    before = {name: StageResult(name, SUCCEEDED) for name in STAGES[:2]}
    train = StageResult("train", SUCCEEDED, outputs={"train.image.due": "true"})
    run = world.agent.run(world.pipeline(), done={**before, "train": train})
    assert run.results["image"] == SUCCEEDED
    said = run.step("Build the image, test it, log its bill of materials").text
    assert f"importing cache manifest from {world.repository}:latest" in said
    assert "CACHED" in said
    assert "Collecting" not in said, "pip has installed again"


def _held_out(world: World) -> dict[str, Any]:
    uri = f"{world.folder}/mlflow/artifacts"
    (path,) = Path(uri).rglob(f"{world.champion.run_id}/artifacts/held_out.json")
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read

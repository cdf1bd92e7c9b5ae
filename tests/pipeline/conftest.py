"""Agents for small pipelines, and one whole run of the real one that many tests look at."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
import yaml

from mlflow_sealed.feed.credential import Index
from tests import services
from tests.pipeline import definition
from tests.pipeline import world as worlds
from tests.pipeline.agent import Agent, Event, Run
from tests.pipeline.job import Registry, Services
from tests.pipeline.surroundings import commit
from tests.pipeline.world import World

TOKEN = "t0k/en+s3cret"  # noqa: S105 # the tests' own

RunSteps = Callable[..., Run]


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent with a repository of two files, a feed and a connection that nobody serves."""
    for name in ("repository", "work", "caches"):
        (tmp_path / name).mkdir()
    (tmp_path / "repository" / "lock.txt").write_text("one\n", encoding="utf-8")
    (tmp_path / "repository" / "junit.xml").write_text(
        '<testsuites><testsuite tests="3"/></testsuites>', encoding="utf-8"
    )
    commit(tmp_path / "repository")
    services = Services(
        feeds={
            "ours/private": Index("http://127.0.0.1:9/simple/", "build", TOKEN),
            "ours/other": Index("http://127.0.0.1:8/simple/", "build", TOKEN),
        },
        connections={"registry": Registry("127.0.0.1:9", "pusher", TOKEN)},
        caches=tmp_path / "caches",
        published=tmp_path / "published",
    )
    machine = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    return Agent(tmp_path / "work", tmp_path / "repository", machine, services)


@pytest.fixture
def run_steps(agent: Agent) -> RunSteps:
    """Run the steps of one stage, written in YAML."""

    def run(steps: str, *, event: Event | None = None, more: str = "") -> Run:
        text = f"""
trigger: {{branches: {{include: [main]}}}}
pr: {{branches: {{include: ["*"]}}}}
variables:
  plain: text
  nested.name: in $(plain)
stages:
  - stage: one
    jobs:
      - job: only
        steps: {json.dumps(yaml.safe_load(steps))}
{more}"""
        return agent.run(definition.parse(yaml.safe_load(text), {}), event)

    return run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, engine: Path) -> Iterator[World]:
    """All that the real pipeline needs, on this machine."""
    del engine
    services.need("docker-registry")
    with worlds.make(tmp_path_factory.mktemp("pipeline")) as made:
        yield made


@pytest.fixture(scope="session")
def first(world: World) -> Run:
    """A run of all four stages."""
    return world.agent.run(world.pipeline())


@pytest.fixture(scope="session")
def second(world: World, first: Run) -> Run:
    """The same commit again, after `first`; its checks are those of the first run."""
    return world.agent.run(world.pipeline(), done={"check": first.stages["check"]})


@pytest.fixture
def asked(world: World, first: Run) -> Iterator[None]:
    """The server is the one that MLflow asks."""
    assert first.results["image"] == "Succeeded"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(world.server)
    yield
    mlflow.set_tracking_uri(before)

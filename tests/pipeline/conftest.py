"""Agents for small pipelines."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from feed.credential import Index
from tests.pipeline import definition
from tests.pipeline.agent import Agent, Event, Run
from tests.pipeline.job import Registry, Services

TOKEN = "t0k/en+s3cret"  # noqa: S105 # the tests' own

RunSteps = Callable[..., Run]


def commit(folder: Path) -> None:
    """Commit all files of a folder as a repository's only commit."""
    author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        (*author, "commit", "--quiet", "--message=The sources under test"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


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

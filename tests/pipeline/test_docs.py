"""docs/azure.md: what it shows can be run, and it names what the file has."""

import json
import re
from pathlib import Path

import pytest
import yaml

from mlflow_sealed.feed import credential
from tests.environ import ROOT
from tests.pipeline.agent import Agent
from tests.pipeline.conftest import TOKEN, RunSteps

TEXT = (ROOT / "docs" / "azure.md").read_text(encoding="utf-8")


def test_the_single_feed_way_gives_our_commands_the_feed_as_their_only_index(
    run_steps: RunSteps, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, scripts = (
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    )
    task[0]["inputs"]["artifactFeeds"] = "ours/private"
    assert scripts[1]["script"] == "make train"
    scripts[1] |= {"script": 'echo "$PIP_CONFIG_FILE"', "displayName": "Path"}
    run = run_steps(json.dumps([*task, *scripts]))
    assert run.results == {"one": "Succeeded"}
    path = run.step("Path").text.splitlines()[-1]
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    found = credential.read({"PIP_CONFIG_FILE": path})
    assert Path(path).is_relative_to(agent.folder)
    assert found.default == found.feed.authenticated_url
    assert (found.feed.url, found.feed.password) == ("http://127.0.0.1:9/simple/", TOKEN)
    assert found.extra == ()


def test_every_parameter_and_stage_is_told() -> None:
    read = yaml.safe_load((ROOT / "azure-pipelines.yml").read_text(encoding="utf-8"))
    names = [parameter["name"] for parameter in read["parameters"]]
    stages = [stage["stage"] for stage in read["stages"]]
    assert [name for name in (*names, *stages) if f"`{name}`" not in TEXT] == []


def test_the_number_of_steps_that_ask_the_tracking_server_is_right() -> None:
    text = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
    assert text.count("MLFLOW_TRACKING_URI:") == 5
    assert "of the five steps that have `MLFLOW_TRACKING_URI`" in TEXT

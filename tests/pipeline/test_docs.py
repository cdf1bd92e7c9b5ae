"""docs/azure.md: what it shows can be run, and it names what the file has."""

import base64
import json
import re

import yaml

from mlflow_sealed.feed import credential
from tests.environ import ROOT
from tests.pipeline.conftest import TOKEN, RunSteps

TEXT = (ROOT / "docs" / "azure.md").read_text(encoding="utf-8")


def test_the_single_feed_way_gives_our_commands_the_feed_as_their_only_index(
    run_steps: RunSteps,
) -> None:
    """What the task sets is all that they need."""
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (task,) = [
        steps for block in blocks if "artifactFeeds" in block for steps in yaml.safe_load(block)
    ]
    task["inputs"]["artifactFeeds"] = "ours/private"
    show = {"script": 'base64 --wrap=0 <<< "$PIP_INDEX_URL"', "displayName": "Show"}
    run = run_steps(json.dumps([task, show]))
    assert run.results == {"one": "Succeeded"}
    url = base64.b64decode(run.step("Show").text.splitlines()[-1]).decode().strip()
    found = credential.read({"PIP_INDEX_URL": url})
    assert found.single
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

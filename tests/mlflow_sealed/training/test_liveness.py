"""Runs whose process is gone: those of this machine are known, and no others are judged."""

import json
import os
import subprocess

import mlflow
import pytest

from mlflow_sealed.training import liveness


def left(client: mlflow.MlflowClient, tag: str | None) -> bool:
    experiment = client.create_experiment(f"e{len(client.search_experiments())}")
    run = client.create_run(experiment, tags={} if tag is None else {liveness.TAG: tag})
    found = liveness.left_running(client, experiment)
    return [each.info.run_id for each in found] == [run.info.run_id]


def test_a_process_that_is_gone_is_known_and_a_living_one_too(client: mlflow.MlflowClient) -> None:
    assert not left(client, liveness.tag()[liveness.TAG])
    with subprocess.Popen(["sleep", "60"]) as process:
        tag = liveness.tag(process.pid)[liveness.TAG]
        assert not left(client, tag)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert left(client, tag), "nobody has waited for it yet, and still it is gone"
        process.wait()
        assert left(client, tag)


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({"host": "elsewhere", "pid": 0}, False),
        ({"namespace": "pid:[1]", "pid": 0}, False),
        ({"boot": "an earlier one"}, True),
        ({"started": 1}, True),
        ({}, False),
    ],
    ids=["another host", "another container", "before a restart", "a reused number", "this one"],
)
def test_only_a_process_that_is_certainly_dead_counts(
    client: mlflow.MlflowClient, changes: dict[str, object], *, dead: bool
) -> None:
    ours = json.loads(liveness.tag()[liveness.TAG])
    assert left(client, json.dumps({**ours, **changes})) == dead


def test_a_run_that_says_nothing_of_its_process_is_left_alone(client: mlflow.MlflowClient) -> None:
    assert not left(client, None)

"""Reading the file: parameters filled in, and an error for every construct that is not known."""

from typing import Any

import pytest
import yaml

from tests.pipeline.definition import parse
from tests.pipeline.expressions import PipelineError

PIPELINE = """
trigger: {branches: {include: [main]}}
pr: none
pool: {vmImage: ubuntu-24.04}
parameters:
  - {name: feed, type: string, default: ours}
variables:
  index: ${{ parameters.feed }}/simple
stages:
  - stage: one
    jobs: [{job: a, steps: [{script: "echo ${{ parameters.feed }} $(index)"}]}]
  - stage: two
    jobs: [{job: b, timeoutInMinutes: 5, steps: [{task: T@1, inputs: {flag: true}}]}]
"""


def read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PIPELINE)
    return found


def test_parameters_are_filled_in() -> None:
    pipeline = parse(read(), {})
    assert pipeline.variables == {"index": "ours/simple"}
    assert pipeline.stages[0].jobs[0].steps[0].script == "echo ours $(index)"
    assert parse(read(), {"feed": "theirs"}).variables == {"index": "theirs/simple"}


def test_what_is_not_said_is_what_azure_takes() -> None:
    one, two = parse(read(), {}).stages
    assert (one.depends_on, two.depends_on) == ((), ("one",))
    assert one.condition == two.jobs[0].steps[0].condition == "succeeded()"
    assert (one.jobs[0].timeout_s, two.jobs[0].timeout_s) == (3600, 300)
    assert two.jobs[0].steps[0].inputs == {"flag": "True"}
    assert two.jobs[0].steps[0].title == "T@1"


def test_a_stage_can_depend_on_none_or_on_several() -> None:
    found = read()
    found["stages"][1]["dependsOn"] = []
    found["stages"].append({"stage": "three", "dependsOn": ["one", "two"], "jobs": []})
    assert [stage.depends_on for stage in parse(found, {}).stages] == [(), (), ("one", "two")]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("resources", {}, "the pipeline: .'resources'. is not known"),
        ("pool/demands", "docker", "pool: .'demands'. is not known"),
        ("variables", [{"group": "secrets"}], "expected names and texts, got list"),
        ("variables/a", "$[counter('a')]", "runtime expressions are not known"),
        ("variables/a", "${{ variables.index }}", "'variables' is not known"),
        ("variables/${{ parameters.feed }}", "x", "as keys are not known"),
        ("variables/a", "${{ parameters.nosuch }}", "has no value"),
        ("parameters/0/values", ["a"], "a parameter: .'values'. is not known"),
        ("parameters/0/type", "stepList", "type 'stepList'"),
        ("trigger", None, "trigger is not said"),
        ("trigger/paths", {}, "trigger: .'paths'. is not known"),
        ("stages/0/pool", {}, "stage one: .'pool'. is not known"),
        ("stages/1/dependsOn", "nosuch", "stage two depends on .'nosuch'."),
        ("stages/0/dependsOn", "two", "stage one depends on .'two'."),
        ("stages/1/stage", "one", "stage one is there twice"),
        ("stages/0/jobs/0/strategy", {}, "job a: .'strategy'. is not known"),
        ("stages/0/jobs/0/steps/0", {"bash": "true"}, "a step of the kind 'bash'"),
        ("stages/0/jobs/0/steps/0", {"checkout": "none"}, "a step of the kind 'checkout'"),
        ("stages/0/jobs/0/steps/0/continueOnError", True, ".'continueOnError'. is not known"),
        ("stages/0/jobs/0/steps/0/env", {"A": ["b"]}, "A: expected a text, got list"),
    ],
)
def test_what_is_not_known_is_an_error(path: str, value: object, reason: str) -> None:
    found: Any = read()
    node = found
    *parents, last = path.split("/") if not path.startswith("variables/$") else path.split("/", 1)
    for key in parents:
        node = node[int(key) if key.isdigit() else key]
    node[int(last) if last.isdigit() else last] = value
    with pytest.raises(PipelineError, match=reason):
        parse(found, {})


def test_a_parameter_that_the_pipeline_does_not_have_is_an_error() -> None:
    with pytest.raises(PipelineError, match=r"\['fed'\] are not those of the pipeline"):
        parse(read(), {"fed": "x"})

"""The agent's rules: processes, variables, conditions, fresh folders."""

import pytest

from tests.pipeline.agent import Agent, Event
from tests.pipeline.conftest import TOKEN, RunSteps
from tests.pipeline.expressions import PipelineError

SET = "##vso[task.setvariable variable="
TWO = """
  - stage: two
    condition: {condition}
    jobs: [{{job: only, steps: [{{script: echo two, displayName: Two}}]}}]
"""


def test_a_script_is_judged_by_its_last_commands_status(run_steps: RunSteps) -> None:
    """As on Azure: a step that should stop at its first error has to say so."""
    run = run_steps(r"""[{script: "false\necho on", displayName: A}]""")
    assert run.results == {"one": "Succeeded"}
    assert run.step("A").text == "on\n"
    run = run_steps(r"""[{script: "set -e\nfalse\necho on", displayName: A}]""")
    assert run.results == {"one": "Failed"}
    assert run.step("A").text == "##[error]Bash exited with code '1'.\n"


def test_steps_after_a_failed_one_are_skipped_unless_they_say_otherwise(
    run_steps: RunSteps,
) -> None:
    run = run_steps(
        """[{script: exit 3, displayName: A}, {script: echo b, displayName: B},
            {script: echo c, displayName: C, condition: succeededOrFailed()}]"""
    )
    assert [step.result for step in run.steps] == ["Failed", "Skipped", "Succeeded"]
    assert run.failed.title == "A"


@pytest.mark.parametrize(
    ("script", "condition", "result"),
    [
        ("true", "succeeded()", "Succeeded"),
        ("false", "succeeded()", "Skipped"),
        ("true", "and(succeeded(), eq(variables['plain'], 'other'))", "Skipped"),
        ("true", "eq(dependencies.one.result, 'Succeeded')", "Succeeded"),
    ],
)
def test_a_stage_runs_if_its_condition_holds(
    run_steps: RunSteps, script: str, condition: str, result: str
) -> None:
    run = run_steps(f"[{{script: '{script}'}}]", more=TWO.format(condition=condition))
    assert run.results["two"] == result


def test_a_stage_after_one_that_was_skipped_is_skipped(run_steps: RunSteps) -> None:
    more = TWO.format(condition="false") + TWO.format(condition="succeeded()").replace(
        "two", "three"
    )
    assert run_steps("[{script: 'true'}]", more=more).results["three"] == "Skipped"


def test_variables_reach_a_script_as_macros_and_in_its_environment(run_steps: RunSteps) -> None:
    run = run_steps(
        """[{script: 'echo "$(plain) $(NESTED.name) $NESTED_NAME $MINE $(nosuch)"',
             env: {MINE: 'x $(plain)'}, displayName: A}]"""
    )
    last = run.step("A").text.splitlines()[-2:]
    assert "nosuch: command not found" in last[0]
    assert last[1] == "text in text in text x text "


def test_a_variable_is_set_for_the_steps_that_follow(run_steps: RunSteps) -> None:
    run = run_steps(
        f"""[{{script: 'echo "{SET}a]1"; echo "$A"', displayName: A}},
            {{script: 'echo "$(a)$A"', displayName: B}}]"""
    )
    assert run.step("A").text.endswith("]1\n\n")
    assert run.step("B").text.endswith("\n11\n")


def test_a_secret_is_not_in_the_environment(run_steps: RunSteps) -> None:
    run = run_steps(
        f"""[{{script: 'echo "{SET}a;issecret=true]1"'}},
            {{script: 'echo "[$A][$B]"', env: {{B: $(a)}}, displayName: B}}]"""
    )
    assert run.step("B").text.endswith("\n[][1]\n")


def test_what_is_shown_has_secrets_masked_and_the_raw_output_has_not(run_steps: RunSteps) -> None:
    run = run_steps(
        f"""[{{script: 'echo "{SET}a;issecret=true]1234"'}},
            {{script: 'echo "$(a) {TOKEN}"', displayName: B}}]"""
    )
    assert run.step("B").shown.endswith("\n*** ***\n")
    assert run.step("B").text.endswith(f"\n1234 {TOKEN}\n")


def test_an_output_is_known_to_its_job_and_to_stages_that_depend_on_it(
    run_steps: RunSteps,
) -> None:
    more = TWO.format(condition="eq(dependencies.one.outputs['only.first.a'], 'yes')")
    run = run_steps(
        f"""[{{script: 'echo "{SET}a;isOutput=true]yes"', name: first}},
            {{script: 'echo "$(first.a)$FIRST_A"', displayName: B}}]""",
        more=more,
    )
    assert run.step("B").text.endswith("\nyesyes\n")
    assert run.results["two"] == "Succeeded"


@pytest.mark.parametrize(
    "line",
    [
        "##vso[task.complete result=Failed;]done",
        "##vso[build.addbuildtag]x",
        f"{SET}a;isReadOnly=true]x",
        "##vso[task.setvariable]x",
        "##vso[broken",
        f"{SET}a;isOutput=true]a step without a name",
    ],
)
def test_a_logging_command_that_is_not_known_is_an_error(run_steps: RunSteps, line: str) -> None:
    with pytest.raises(PipelineError, match="logging command|without a name"):
        run_steps(f"""[{{script: 'echo "{line}"'}}]""")


def test_each_job_starts_from_the_commit_and_nothing_else(
    run_steps: RunSteps, agent: Agent
) -> None:
    script = "ls -A . ~; git status --short; git rev-parse HEAD; touch x ~/x"
    for _ in range(2):
        lines = run_steps(f"[{{script: {script}, displayName: A}}]").step("A").text.splitlines()[2:]
        assert lines[0] == ".:"
        assert lines[1:4] == [".git", "junit.xml", "lock.txt"]
        assert lines[-1] == agent.commit()
        assert len(lines) == 4 + 2 + 1, lines


def test_a_process_has_nothing_of_ours_in_its_environment(
    run_steps: RunSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://me:secret@feed.example/simple/")
    run = run_steps("[{script: env, displayName: A}]")
    assert "TF_BUILD=True" in run.step("A").text
    assert "PIP_" not in run.step("A").text


def test_an_event_that_starts_no_run_is_an_error(run_steps: RunSteps) -> None:
    with pytest.raises(PipelineError, match="starts no run"):
        run_steps("[{script: 'true'}]", event=Event(branch="refs/heads/topic"))
    pull = Event("PullRequest", "refs/pull/7/merge", target="refs/heads/release/1")
    assert run_steps("[{script: 'true'}]", event=pull).results == {"one": "Succeeded"}


def test_a_task_that_is_not_known_is_an_error(run_steps: RunSteps) -> None:
    with pytest.raises(PipelineError, match="task Bash@3 is not known"):
        run_steps("[{task: Bash@3, inputs: {script: 'true'}}]")

"""The stand-ins: what the real tasks are documented to leave behind."""

import configparser
import json
import sysconfig
from pathlib import Path

import pytest

from tests.pipeline import tasks
from tests.pipeline.agent import Agent
from tests.pipeline.conftest import TOKEN, RunSteps
from tests.pipeline.expressions import PipelineError

PIP = "{task: PipAuthenticate@1, inputs: {artifactFeeds: FEEDS, onlyAddExtraIndex: EXTRA}}"
SHOW = "{script: 'echo \"[$PIP_INDEX_URL] [$PIP_EXTRA_INDEX_URL]\"', displayName: Show}"
OURS = "http://build:t0k%2Fen%2Bs3cret@127.0.0.1:9/simple/"
OTHER = OURS.replace(":9/", ":8/")


@pytest.mark.parametrize(
    ("feeds", "extra", "shown"),
    [
        ("ours/private", "true", f"[] [{OURS}]"),
        ("ours/private", "false", f"[{OURS}] []"),
        ("'ours/private, ours/other'", "false", f"[{OURS}] [{OTHER}]"),
        ("'ours/private,ours/other'", "true", f"[] [{OURS} {OTHER}]"),
    ],
)
def test_pip_authenticate_sets_the_index_variables(
    run_steps: RunSteps, feeds: str, extra: str, shown: str
) -> None:
    run = run_steps(f"[{PIP.replace('FEEDS', feeds).replace('EXTRA', extra)}, {SHOW}]")
    assert run.step("Show").text.splitlines()[-1] == shown


def test_pip_authenticate_keeps_nothing_of_an_earlier_call(run_steps: RunSteps) -> None:
    first = PIP.replace("FEEDS", "ours/other").replace("EXTRA", "false")
    second = PIP.replace("FEEDS", "ours/private").replace("EXTRA", "true")
    run = run_steps(f"[{first}, {second}, {SHOW}]")
    assert run.step("Show").text.splitlines()[-1] == f"[] [{OURS}]"


def test_twine_authenticate_names_a_fresh_pypirc(run_steps: RunSteps, agent: Agent) -> None:
    steps = [
        f"{{task: TwineAuthenticate@1, inputs: {{artifactFeed: ours/{feed}}}}}"
        for feed in ("other", "private")
    ]
    run = run_steps(f"[{steps[0]}, {steps[1]}, {{script: cat $PYPIRC_PATH, displayName: A}}]")
    parser = configparser.RawConfigParser()
    parser.read_string("\n".join(run.step("A").text.splitlines()[2:]))
    assert parser.sections() == ["distutils", "private"]
    assert dict(parser["private"]) == {
        "repository": "http://127.0.0.1:9/",
        "username": "build",
        "password": TOKEN,
    }
    (kept, _) = agent.folder.rglob(".pypirc")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_feed_that_is_not_there_fails_the_step(run_steps: RunSteps) -> None:
    run = run_steps("[{task: TwineAuthenticate@1, inputs: {artifactFeed: ours/nosuch}}]")
    assert "The feed with ID 'ours/nosuch' doesn't exist." in run.failed.text


CACHE = """{task: Cache@2, displayName: Cache, inputs: {key: '"made" | $(Agent.OS) | lock.txt',
  restoreKeys: '"made" | $(Agent.OS)', path: $(Pipeline.Workspace)/made}}"""
MAKE = """{script: 'ls ../made || (mkdir ../made && cp lock.txt ../made)', displayName: Make}"""


def test_a_cache_is_saved_once_and_restored(run_steps: RunSteps, agent: Agent) -> None:
    first = run_steps(f"[{CACHE}, {MAKE}]")
    assert first.step("Cache").text.startswith("Cache miss: made|Linux|")
    again = run_steps(f"[{CACHE}, {MAKE}]")
    assert again.step("Cache").text.startswith("Cache hit: made|Linux|")
    assert again.step("Make").text.splitlines()[-1] == "lock.txt"
    assert len(list(agent.services.caches.iterdir())) == 1


def test_a_changed_lock_finds_the_cache_of_the_one_before(
    run_steps: RunSteps, agent: Agent
) -> None:
    run_steps(f"[{CACHE}, {MAKE}]")
    changed = "{script: echo two > lock.txt}"
    run = run_steps(f"[{changed}, {CACHE}, {MAKE}]")
    assert run.step("Cache").text.startswith("Cache inexact hit: made|Linux|")
    assert len(list(agent.services.caches.iterdir())) == 2


def test_a_job_that_fails_saves_no_cache(run_steps: RunSteps, agent: Agent) -> None:
    run_steps(f"[{CACHE}, {MAKE}, {{script: 'false'}}]")
    assert list(agent.services.caches.iterdir()) == []


def test_a_cache_key_that_names_a_missing_file_fails_the_step(run_steps: RunSteps) -> None:
    run = run_steps("[{task: Cache@2, inputs: {key: nosuch.txt, path: x}}]")
    assert "The cache key names nosuch.txt, which is no file" in run.failed.text


def test_test_results_are_kept_and_counted(run_steps: RunSteps, agent: Agent) -> None:
    task = "{task: PublishTestResults@2, displayName: A, inputs: {testResultsFiles: junit.xml}}"
    assert run_steps(f"[{task}]").step("A").text == "junit.xml: 3 tests\n"
    assert [path.name for path in agent.services.published.rglob("*.xml")] == ["junit.xml"]


@pytest.mark.parametrize(
    ("task", "inputs"),
    [
        ("PublishTestResults@2", "testResultsFiles: no.xml, failTaskOnMissingResultsFile: true"),
        ("PublishCodeCoverageResults@1", "summaryFileLocation: no.xml, failIfCoverageEmpty: true"),
    ],
)
def test_results_that_are_missing_fail_the_step(
    run_steps: RunSteps, task: str, inputs: str
) -> None:
    run = run_steps(f"[{{task: {task}, inputs: {{{inputs}}}}}]")
    assert "were found" in run.failed.text


def test_docker_login_names_a_configuration_with_the_connections_credential(
    run_steps: RunSteps,
) -> None:
    login = "{task: Docker@2, inputs: {command: login, containerRegistry: registry}}"
    run = run_steps(f"[{login}, {{script: cat $DOCKER_CONFIG/config.json, displayName: A}}]")
    content = json.loads("\n".join(run.step("A").text.splitlines()[2:]))
    assert content == {"auths": {"127.0.0.1:9": {"auth": "cHVzaGVyOnQway9lbitzM2NyZXQ="}}}


def test_a_python_that_the_machine_does_not_have_fails_the_step(run_steps: RunSteps) -> None:
    run = run_steps("[{task: UsePythonVersion@0, inputs: {versionSpec: '3.7'}}]")
    assert "Version spec 3.7" in run.failed.text


def test_the_python_that_was_asked_for_is_first_on_path(run_steps: RunSteps) -> None:
    version = sysconfig.get_python_version()
    use = f"{{task: UsePythonVersion@0, inputs: {{versionSpec: '{version}'}}}}"
    run = run_steps(f"[{use}, {{script: command -v python{version}, displayName: A}}]")
    assert Path(run.step("A").text.splitlines()[-1]).resolve().name == f"python{version}"


@pytest.mark.parametrize(
    "task",
    [
        "UsePythonVersion@0, inputs: {versionSpec: '3.11', architecture: x86}",
        "PipAuthenticate@1, inputs: {artifactFeeds: ours/private, feedUrl: x}",
        "TwineAuthenticate@1, inputs: {artifactFeed: ours/private, feedUrl: x}",
        "Cache@2, inputs: {key: a, path: b, cacheHitVar: c}",
        "PublishTestResults@2, inputs: {testResultsFiles: a, mergeTestResults: true}",
        "PublishCodeCoverageResults@1, inputs: {summaryFileLocation: a, pathToSources: b}",
        "Docker@2, inputs: {command: login, containerRegistry: registry, tags: a}",
        "Docker@2, inputs: {command: buildAndPush}",
    ],
)
def test_an_input_that_is_not_known_is_an_error(run_steps: RunSteps, task: str) -> None:
    with pytest.raises(PipelineError, match="not known"):
        run_steps(f"[{{task: {task}}}]")


def test_a_copy_is_linked_and_leaves_out_what_another_process_is_writing(tmp_path: Path) -> None:
    for name in ("archive/.tmpA1b2C3", ".tmpD4e5F6", "archive/six"):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "file").write_text(name, encoding="utf-8")
    (tmp_path / "cache" / "link").symlink_to("archive/six")
    tasks.copy(tmp_path / "cache", tmp_path / "to" / "copy", left_out=[".tmp*"])
    copied = tmp_path / "to" / "copy"
    found = {str(path.relative_to(copied)) for path in copied.rglob("*")}
    assert found == {"archive", "archive/six", "archive/six/file", "link"}
    assert (copied / "archive/six/file").samefile(tmp_path / "cache/archive/six/file")
    assert (copied / "link").is_symlink()

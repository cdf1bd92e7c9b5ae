"""Run a pipeline as Azure Pipelines does: stage after stage, each job on a fresh machine.

Scripts run as the task behind ``script:`` runs them: written to a file, given to
``bash --noprofile --norc`` without ``-e``, and judged by the exit status alone
(https://github.com/microsoft/azure-pipelines-tasks/blob/master/Tasks/CmdLineV2/cmdline.ts).
"""

import itertools
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.pipeline import definition, tasks
from tests.pipeline.expressions import PipelineError, holds
from tests.pipeline.job import Job, Services

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
SKIPPED: Final = "Skipped"
MAIN: Final = "refs/heads/main"


@dataclass(frozen=True)
class StepResult:
    """What came of a step: its output as it was, and as the agent shows it, secrets masked."""

    title: str
    result: str
    raw: bytes = field(default=b"", repr=False)
    shown: str = field(default="", repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The output as it was, as text."""
        return self.raw.decode(errors="replace")


@dataclass(frozen=True)
class StageResult:
    """What came of a stage; `outputs` are by JOB.STEP.VARIABLE."""

    name: str
    result: str
    steps: tuple[StepResult, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    stages: Mapping[str, StageResult]

    @property
    def results(self) -> dict[str, str]:
        return {name: stage.result for name, stage in self.stages.items()}

    @property
    def steps(self) -> list[StepResult]:
        """The steps of all stages that ran."""
        return [step for stage in self.stages.values() for step in stage.steps]

    @property
    def failed(self) -> StepResult:
        """The one step that has failed."""
        (step,) = [step for step in self.steps if step.result == FAILED]
        return step

    def step(self, title: str) -> StepResult:
        """Return the one step with this title that ran."""
        (found,) = [step for step in self.steps if step.title == title]
        return found


@dataclass(frozen=True)
class Event:
    """Why a run starts, in Azure's words."""

    reason: str = "IndividualCI"
    branch: str = MAIN
    target: str = ""


@dataclass
class Agent:
    """The machines that the jobs run on, all in one folder.

    Attributes
    ----------
    repository
        Where the sources come from; its HEAD is the commit.
    machine
        The environment of the machine, with nothing of ours in it.
    """

    folder: Path
    repository: Path
    machine: Mapping[str, str]
    services: Services
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(
        self,
        pipeline: definition.Pipeline,
        event: Event | None = None,
        *,
        done: Mapping[str, StageResult] | None = None,
        mapped: Mapping[str, str] | None = None,
    ) -> Run:
        """Run all stages whose conditions hold.

        Parameters
        ----------
        done
            Stages that have succeeded before and keep their outcome, as when failed stages are run
            again in Azure.
        mapped
            More variables for the steps' environment; the tests' controls use them.

        Raises
        ------
        PipelineError
            If the pipeline does what the runner does not know, or the event starts no run.
        """
        event = event or Event()
        _check_starts(pipeline, event)
        results = dict(done or {})
        for stage in pipeline.stages:
            if stage.name not in results:
                results[stage.name] = self._stage(stage, pipeline, event, results, mapped or {})
        return Run(results)

    def commit(self) -> str:
        """Return the commit that is run."""
        command = ["git", "-C", str(self.repository), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def _stage(
        self,
        stage: definition.Stage,
        pipeline: definition.Pipeline,
        event: Event,
        before: Mapping[str, StageResult],
        mapped: Mapping[str, str],
    ) -> StageResult:
        variables = {
            **pipeline.variables,
            "Build.Reason": event.reason,
            "Build.SourceBranch": event.branch,
            "Build.SourceVersion": self.commit(),
        }
        needed = [before[name].result for name in _ancestors(stage, pipeline)]
        contexts: dict[str, dict[str, object]] = {
            "variables": {**variables},
            "dependencies": {
                name: {"result": before[name].result, "outputs": before[name].outputs}
                for name in stage.depends_on
            },
        }
        if not holds(stage.condition, contexts, _of_stages(needed)):
            return StageResult(stage.name, SKIPPED)
        steps: list[StepResult] = []
        outputs: dict[str, str] = {}
        for each in stage.jobs:
            name = str(next(self._numbers))
            folder = self._fresh_folder(name)
            job = Job(name, folder, variables, self.machine, self.services)
            self._check_out(job)
            steps += _run_job(each, job, mapped)
            outputs |= {f"{each.name}.{key}": value for key, value in job.outputs.items()}
        failed = any(step.result == FAILED for step in steps)
        return StageResult(stage.name, FAILED if failed else SUCCEEDED, tuple(steps), outputs)

    def _fresh_folder(self, name: str) -> Path:
        """Return the one place that every job finds itself at; that of the job before moves."""
        folder = self.folder / "job"
        if folder.exists():
            folder.rename(self.folder / f"before-{name}")
        return folder

    def _check_out(self, job: Job) -> None:
        """Check the commit out without a branch, as the agent does."""
        clone = ["git", "clone", "--quiet", "--no-checkout", str(self.repository), str(job.sources)]
        subprocess.run(clone, check=True)
        checkout = ["git", "checkout", "--quiet", "--detach", self.commit()]
        subprocess.run(checkout, cwd=job.sources, check=True)


def _run_job(each: definition.Job, job: Job, mapped: Mapping[str, str]) -> list[StepResult]:
    results: list[StepResult] = []
    for step in each.steps:
        failed = any(result.result == FAILED for result in results)
        if holds(step.condition, {"variables": {**job.variables}}, _of_steps(failed=failed)):
            results.append(_run_step(step, job, mapped, each.timeout_s))
        else:
            results.append(StepResult(step.title, SKIPPED))
    if not any(result.result == FAILED for result in results):
        for save in job.after:
            save()
    return results


def _run_step(
    step: definition.Step, job: Job, mapped: Mapping[str, str], timeout_s: float
) -> StepResult:
    job.said.clear()
    if step.script is not None:
        status, environ = _run_script(step, job, mapped, timeout_s)
        result = FAILED if status else SUCCEEDED
        if status:
            job.say(f"##[error]Bash exited with code '{status}'.")
    else:
        environ = job.environ({})
        inputs = {name: job.expand(value) for name, value in step.inputs.items()}
        result = FAILED if _run_task(str(step.task), inputs, job) else SUCCEEDED
    job.obey(step.name)
    return StepResult(step.title, result, bytes(job.said), job.masked(), environ)


def _run_script(
    step: definition.Step, job: Job, mapped: Mapping[str, str], timeout_s: float
) -> tuple[int, dict[str, str]]:
    text = job.expand(str(step.script))
    path = job.temporary / "script.sh"
    path.write_text(text, encoding="utf-8")
    if "\n" not in text:
        job.say(f"Script contents:\n{text}")
    command = ["bash", "--noprofile", "--norc", str(path)]
    return job.execute(command, {**mapped, **step.env}, timeout_s=timeout_s)


def _run_task(name: str, inputs: Mapping[str, str], job: Job) -> int:
    if name not in tasks.TASKS:
        raise PipelineError(f"task {name} is not known; those that are: {sorted(tasks.TASKS)}")
    try:
        tasks.TASKS[name](inputs, job)
    except tasks.TaskError as error:
        job.say(f"##[error]{error}")
        return 1
    return 0


def _check_starts(pipeline: definition.Pipeline, event: Event) -> None:
    pull_request = event.reason == "PullRequest"
    branch = (event.target if pull_request else event.branch).removeprefix("refs/heads/")
    patterns = pipeline.pr if pull_request else pipeline.trigger
    if not any(fnmatchcase(branch, pattern) for pattern in patterns):
        raise PipelineError(f"{event} starts no run: the branches are {patterns}")


def _ancestors(stage: definition.Stage, pipeline: definition.Pipeline) -> set[str]:
    by_name = {each.name: each for each in pipeline.stages}
    found = set(stage.depends_on)
    for name in stage.depends_on:
        found |= _ancestors(by_name[name], pipeline)
    return found


def _of_stages(results: list[str]) -> dict[str, Callable[[], bool]]:
    """Return the status functions of a stage, from the results of those before it."""
    return {"succeeded": lambda: all(result == SUCCEEDED for result in results)}


def _of_steps(*, failed: bool) -> dict[str, Callable[[], bool]]:
    """Return the status functions of a step."""
    return {"succeeded": lambda: not failed, "succeededOrFailed": lambda: True}

"""Hold the names in azure-pipelines.yml to those of the Makefile and of the commands behind it.

Azure leaves ``$(a.wrong.name)`` as it stands and takes an output that nobody sets for empty: a
renamed thing would go unnoticed until a stage silently never runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.pipeline import definition, tasks

STAGES: Final = ["check", "package", "train", "image"]
PREDEFINED: Final = {"Agent.OS", "Pipeline.Workspace"}
CACHES: Final = {"PIP_CACHE_DIR", "UV_CACHE_DIR", "MYPY_CACHE_DIR"}
"""Variables that pip, uv and mypy document."""

_MACRO: Final = re.compile(r"\$\(([\w.]+)\)")
_OUTPUT: Final = re.compile(r"dependencies\.(\w+)\.outputs\['(\w+)\.(\w+)\.(\w+)'\]")
_TOLD: Final = re.compile(r'def _(\w+)\(ours.*?_tell_pipeline\("(\w+)"', re.DOTALL)


@dataclass(frozen=True)
class Sources:
    """The texts whose names have to agree: the pipeline's, and those of what it runs."""

    pipeline: str
    makefile: str
    image: str
    plugin: str


def faults(sources: Sources) -> list[str]:
    """Return what does not agree, a line each."""
    read = yaml.safe_load(sources.pipeline)
    pipeline = definition.parse(read, {})
    steps = [step for stage in pipeline.stages for job in stage.jobs for step in job.steps]
    found = [*_of_stages(pipeline, sources), *_of_parameters(read, sources)]
    if pipeline.variables.keys() != CACHES:
        found.append(f"variables {sorted(pipeline.variables)} are not {sorted(CACHES)}")
    for step in steps:
        found += _of_step(step, sources)
    return found


def _of_stages(pipeline: definition.Pipeline, sources: Sources) -> Iterator[str]:
    names = [stage.name for stage in pipeline.stages]
    if names != STAGES:
        yield f"stages {names} are not {STAGES}"
    outputs = {
        (stage.name, job.name, step.name, variable)
        for stage in pipeline.stages
        for job in stage.jobs
        for step in job.steps
        for variable in _outputs(step, sources)
    }
    for stage in pipeline.stages:
        for reference in _OUTPUT.findall(stage.condition):
            if reference not in outputs or reference[0] not in stage.depends_on:
                yield f"stage {stage.name}: no step sets {reference}"
    if not _OUTPUT.search(pipeline.stages[-1].condition):
        yield "the last stage waits for no output"
    for stage in pipeline.stages:
        known = {*PREDEFINED, *pipeline.variables}
        for job in stage.jobs:
            for step in job.steps:
                unknown = _macros(step) - known
                yield from (f"{step.title}: $({name}) is not known" for name in sorted(unknown))
                known |= {f"{step.name}.{name}" for name in _outputs(step, sources)}


def _of_parameters(read: dict[str, Any], sources: Sources) -> Iterator[str]:
    declared = {parameter["name"] for parameter in read["parameters"]}
    used = set(re.findall(r"\$\{\{ parameters\.(\w+) \}\}", sources.pipeline))
    if declared != used:
        yield f"parameters {sorted(declared ^ used)} are declared or used, not both"


def _of_step(step: definition.Step, sources: Sources) -> Iterator[str]:
    if step.script is None:
        if step.task not in tasks.TASKS:
            yield f"task {step.task} is not known"
        return
    command, _, target = step.script.partition(" ")
    if command != "make" or not re.search(rf"^{target}:", sources.makefile, re.MULTILINE):
        yield f"{step.script!r} is no target of the Makefile"
    for name in step.env:
        read = rf"\$\({name}\)|\b{name} \?=|environ\.get\(\"{name}\"\)"
        if not re.search(read, sources.makefile + sources.plugin):
            yield f"{step.title}: nobody reads {name}"


def _outputs(step: definition.Step, sources: Sources) -> list[str]:
    """Return the outputs of a step: those that the command behind its make target sets."""
    command = re.search(
        rf"^{str(step.script).removeprefix('make ')}:.*\n\tmlflow-sealed image (\w+)",
        sources.makefile,
        re.MULTILINE,
    )
    told = dict(_TOLD.findall(sources.image))
    return [told[command[1]]] if command and command[1] in told else []


def _macros(step: definition.Step) -> set[str]:
    texts = (step.script or "", *step.inputs.values(), *step.env.values())
    return {name for text in texts for name in _MACRO.findall(text)}

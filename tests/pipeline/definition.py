"""Read a pipeline's file: its parameters filled in, its keys all known, or an error.

The keys are those of https://learn.microsoft.com/azure/devops/pipelines/yaml-schema/ that
azure-pipelines.yml uses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.pipeline.expressions import PipelineError, evaluate

_TEMPLATE: Final = re.compile(r"\$\{\{(.*?)\}\}")
_ROOT: Final = {"trigger", "pr", "pool", "parameters", "variables", "stages"}
_STAGE: Final = {"stage", "displayName", "dependsOn", "condition", "jobs"}
_JOB: Final = {"job", "timeoutInMinutes", "steps"}
_STEP: Final = {"name", "displayName", "condition"}
_KINDS: Final = {"script": _STEP | {"script", "env"}, "task": _STEP | {"task", "inputs"}}
_PARAMETER: Final = {"name", "displayName", "type", "default"}
_TYPES: Final = {"string": str}
SUCCEEDED: Final = "succeeded()"


@dataclass(frozen=True)
class Step:
    """A script, or a task with its inputs."""

    script: str | None
    task: str | None
    name: str
    title: str
    condition: str
    inputs: Mapping[str, str]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    name: str
    timeout_s: float
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Stage:
    name: str
    depends_on: tuple[str, ...]
    condition: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Pipeline:
    trigger: tuple[str, ...]
    pr: tuple[str, ...]
    variables: Mapping[str, str]
    stages: tuple[Stage, ...]


def load(path: Path, parameters: Mapping[str, str]) -> Pipeline:
    """Read a pipeline's file with the parameters that its run was started with.

    Raises
    ------
    PipelineError
        If it has a key, a parameter or an expression that is not known, or a wrong dependency.
    """
    return parse(yaml.safe_load(path.read_text(encoding="utf-8")), parameters)


def parse(read: Mapping[str, Any], parameters: Mapping[str, str]) -> Pipeline:
    """Return the pipeline that a mapping describes; see `load`."""
    _known(read, _ROOT, "the pipeline")
    _known(read.get("pool", {}), {"vmImage"}, "pool")
    values = _parameters(read.get("parameters", []), parameters)
    filled = _fill({key: read[key] for key in read if key != "parameters"}, values)
    stages: list[Stage] = []
    for each in filled["stages"]:
        stages.append(_stage(each, [stage.name for stage in stages]))
    return Pipeline(
        _branches(filled.get("trigger"), "trigger"),
        _branches(filled.get("pr"), "pr"),
        _texts(filled.get("variables", {})),
        tuple(stages),
    )


def _parameters(declared: list[dict[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    for parameter in declared:
        _known(parameter, _PARAMETER, "a parameter")
        if parameter["type"] not in _TYPES:
            raise PipelineError(f"parameter {parameter['name']}: type {parameter['type']!r}")
    names = {parameter["name"]: parameter["default"] for parameter in declared}
    if unknown := given.keys() - names.keys():
        raise PipelineError(f"parameters {sorted(unknown)} are not those of the pipeline")
    return {**names, **given}


def _fill(node: Any, parameters: Mapping[str, str]) -> Any:
    """Return a copy in which the template expressions of every value are filled in."""
    if isinstance(node, dict):
        if unknown := [key for key in node if _TEMPLATE.search(str(key))]:
            raise PipelineError(f"template expressions as keys are not known: {unknown}")
        return {key: _fill(value, parameters) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, parameters) for value in node]
    if isinstance(node, str):
        return _TEMPLATE.sub(lambda match: _template(match[1], parameters), node)
    return node


def _template(text: str, parameters: Mapping[str, str]) -> str:
    value = evaluate(text, {"parameters": parameters})
    if not isinstance(value, str):
        raise PipelineError(f"template expression {text.strip()!r} has no value")
    return value


def _stage(read: Mapping[str, Any], before: list[str]) -> Stage:
    _known(read, _STAGE, f"stage {read.get('stage')}")
    name = read["stage"]
    depends_on = read.get("dependsOn", before[-1:])
    depends_on = (depends_on,) if isinstance(depends_on, str) else tuple(depends_on)
    if name in before or (unknown := sorted(set(depends_on) - set(before))):
        wrong = "is there twice" if name in before else f"depends on {unknown}"
        raise PipelineError(f"stage {name} {wrong}; before it are {before}")
    jobs = tuple(map(_job, read["jobs"]))
    return Stage(name, depends_on, str(read.get("condition", SUCCEEDED)), jobs)


def _job(read: Mapping[str, Any]) -> Job:
    _known(read, _JOB, f"job {read.get('job')}")
    minutes = float(read.get("timeoutInMinutes", 60))
    return Job(read["job"], 60 * minutes, tuple(map(_step, read["steps"])))


def _step(read: Mapping[str, Any]) -> Step:
    kind = next(iter(read))
    if kind not in _KINDS:
        raise PipelineError(f"a step of the kind {kind!r} is not known")
    _known(read, _KINDS[kind], f"step {read[kind]!r}")
    return Step(
        script=read.get("script"),
        task=read.get("task"),
        name=read.get("name", ""),
        title=read.get("displayName", read[kind]),
        condition=str(read.get("condition", SUCCEEDED)),
        inputs=_texts(read.get("inputs", {})),
        env=_texts(read.get("env", {})),
    )


def _branches(read: Any, name: str) -> tuple[str, ...]:
    if read is None:
        raise PipelineError(f"{name} is not said: every branch would start a run")
    if read == "none":
        return ()
    _known(read, {"branches"}, name)
    _known(read["branches"], {"include"}, name)
    return tuple(read["branches"]["include"])


def _texts(read: Mapping[str, Any]) -> dict[str, str]:
    """Return values as Azure has them: texts."""
    if not isinstance(read, Mapping):
        raise PipelineError(f"expected names and texts, got {type(read).__name__}")
    for name, value in read.items():
        if not isinstance(value, str | bool | int):
            raise PipelineError(f"{name}: expected a text, got {type(value).__name__}")
        if isinstance(value, str) and value.startswith("$["):
            raise PipelineError(f"{name}: runtime expressions are not known")
    return {name: str(value) for name, value in read.items()}


def _known(read: Mapping[str, Any], keys: set[str], what: str) -> None:
    if not isinstance(read, Mapping) or (read.keys() - keys):
        got = sorted(read.keys() - keys) if isinstance(read, Mapping) else read
        raise PipelineError(f"{what}: {got} is not known here")

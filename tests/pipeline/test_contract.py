"""A renamed make target, stage, output, variable or parameter breaks a test: this one."""

from dataclasses import replace

import pytest

from tests.environ import ROOT
from tests.pipeline.contract import Sources, faults
from tests.pipeline.expressions import PipelineError


@pytest.fixture
def sources() -> Sources:
    files = {
        "pipeline": "azure-pipelines.yml",
        "makefile": "Makefile",
        "image": "mlflow_sealed/src/mlflow_sealed/image/commands.py",
        "plugin": "mlflow_sealed/src/mlflow_sealed/image/plugin.py",
    }
    return Sources(**{key: (ROOT / name).read_text("utf-8") for key, name in files.items()})


def test_the_names_agree(sources: Sources) -> None:
    assert faults(sources) == []


@pytest.mark.parametrize(
    "target", ["lint", "test", "publish", "train", "due", "image", "tag", "record"]
)
def test_a_renamed_make_target_is_seen(sources: Sources, target: str) -> None:
    text = sources.makefile.replace(f"\n{target}: ", f"\n{target}-it: ")
    assert text != sources.makefile
    assert f"'make {target}' is no target of the Makefile" in faults(
        replace(sources, makefile=text)
    )


@pytest.mark.parametrize("stage", ["check", "package", "train", "image"])
def test_a_renamed_stage_is_seen(sources: Sources, stage: str) -> None:
    old = f"- stage: {stage}\n"
    assert old in sources.pipeline
    changed = replace(sources, pipeline=sources.pipeline.replace(old, "- stage: other\n"))
    assert any(stage in line for line in seen(changed))


@pytest.mark.parametrize(
    ("part", "old", "new", "fault"),
    [
        ("image", '_tell_pipeline("due"', '_tell_pipeline("wanted"', "no step sets"),
        ("image", '_tell_pipeline("tag"', '_tell_pipeline("name"', "$(tested.tag) is not known"),
        ("pipeline", "name: image\n", "name: asked\n", "no step sets"),
        ("pipeline", "name: tested\n", "name: other\n", "$(tested.tag) is not known"),
        ("pipeline", "- job: train\n", "- job: other\n", "no step sets"),
        ("pipeline", "train.image.due", "train.image.wanted", "no step sets"),
        ("pipeline", "outputs['train.image.due'], 'true'", "result, 'x'", "waits for no output"),
        ("pipeline", "$(tested.tag)", "$(tested.name)", "$(tested.name) is not known"),
        ("pipeline", "  UV_CACHE_DIR:", "  UV_CACHE:", "variables"),
        ("pipeline", "$(Pipeline.Workspace)/packages\n", "$(Workspace)\n", "is not known"),
        ("pipeline", "REPOSITORY: $", "NAME: $", "nobody reads NAME"),
        ("pipeline", "ARGS: $", "ARGUMENTS: $", "nobody reads ARGUMENTS"),
        ("pipeline", "DOCKER_CACHE_FROM: $", "CACHE: $", "nobody reads CACHE"),
        ("pipeline", "MLFLOW_TRACKING_URI: $", "TRACKING: $", "nobody reads TRACKING"),
        ("makefile", "MLFLOW_TRACKING_URI ?=", "TRACKING_URI ?=", "nobody reads MLFLOW"),
        ("makefile", "$(REPOSITORY)", "$(IMAGE)", "nobody reads REPOSITORY"),
        ("makefile", "$(ARGS)", "$(ARGUMENTS)", "nobody reads ARGS"),
        ("plugin", '"DOCKER_CACHE_FROM"', '"CACHE_FROM"', "nobody reads DOCKER_CACHE_FROM"),
        (
            "pipeline",
            "- name: imageName\n",
            "- name: image\n",
            "imageName' has no value",
        ),
        ("pipeline", "parameters.feed }}", "parameters.project }}", "parameters"),
        ("pipeline", "task: Docker@2", "task: Docker@1", "task Docker@1 is not known"),
    ],
)
def test_a_renamed_output_variable_or_parameter_is_seen(
    sources: Sources, part: str, old: str, new: str, fault: str
) -> None:
    text = getattr(sources, part)
    assert old in text
    changed = replace(sources, **{part: text.replace(old, new)})
    assert any(fault in line for line in seen(changed))


def seen(sources: Sources) -> list[str]:
    """Return the faults, or why the pipeline cannot even be read."""
    try:
        return faults(sources)
    except PipelineError as error:
        return [str(error)]

"""Save a pyfunc from code as an MLflow model whose environment is locked, with a manifest."""

import logging
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import yaml
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Object, Property

import mlflow_sealed_pyfunc
from mlflow_sealed.flavor import manifest

PYFUNC: Final = Path(mlflow_sealed_pyfunc.__file__).parent
"""The generic part of a pyfunc: its folder travels with every model."""


@dataclass(frozen=True)
class Pyfunc:
    """A pyfunc from code, and what it needs.

    Attributes
    ----------
    name
        The model's name, which the pyfunc gets in its ``model_config``.
    code
        The file that defines it, and ends with ``mlflow.models.set_model``.
    requirements
        Its lock: every requirement with its hashes.
    artifacts
        Its files, by the names that it knows them by.
    input_example
        As MLflow takes it; it says which parameters there are, too.
    answer
        What an answer has, in MLflow's words: MLflow reads it from a BaseModel alone.
    """

    name: str
    code: Path
    requirements: Path
    artifacts: Mapping[str, Path]
    input_example: Any
    answer: Sequence[Property]


def save_model(
    path: str | Path, mlflow_model: Model | None = None, *, pyfunc: Pyfunc, **options: Any
) -> None:
    """Write a model to a folder; a flavor's ``save_model`` calls it.

    Parameters
    ----------
    path
        The folder to make.
    mlflow_model
        What MLflow knows about the model so far.
    pyfunc
        The model.
    options
        Handed to `mlflow.pyfunc.save_model`.
    """
    with _unannounced():
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=mlflow_model,
            python_model=str(pyfunc.code),
            artifacts={name: str(file) for name, file in pyfunc.artifacts.items()},
            code_paths=[str(PYFUNC)],
            input_example=pyfunc.input_example,
            model_config={"name": pyfunc.name},
            pip_requirements=str(pyfunc.requirements),
            **options,
        )
    folder = Path(path)
    _describe_answers(folder, mlflow_model, pyfunc.answer)
    _lock_environment(folder, pyfunc.requirements, pyfunc.name)
    manifest.write(folder)


def _describe_answers(path: Path, mlflow_model: Model | None, answer: Sequence[Property]) -> None:
    saved = Model.load(str(path))
    saved.signature.outputs = Schema([ColSpec(Object(list(answer)))])
    saved.save(str(path / MLMODEL_FILE_NAME))
    if mlflow_model is not None:
        mlflow_model.signature = saved.signature


@contextmanager
def _unannounced() -> Iterator[None]:
    """Keep MLflow from saying for the length of a block how it comes to the signature."""
    logger = logging.getLogger("mlflow.models.signature")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _lock_environment(model: Path, requirements: Path, name: str) -> None:
    """Make the three descriptions of the environment say the lock and nothing else.

    MLflow puts an ``mlflow`` without a hash in front of the requirements and lists pip, setuptools
    and wheel without hashes: one such line switches hash checking off, or lets pip refuse.
    """
    # No patch release: a machine that has another one serves the model too.
    python, lock = sysconfig.get_python_version(), "-r requirements.txt"
    (model / "requirements.txt").write_bytes(requirements.read_bytes())
    conda = {
        "name": name,
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", {"pip": [lock]}],
    }
    _write_yaml(model / "conda.yaml", conda)
    _write_yaml(model / "python_env.yaml", {"python": python, "dependencies": [lock]})


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

"""Save the pyfunc as an MLflow model whose environment is locked; a flavor for `Model.log`."""

import json
import logging
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import xgboost
import yaml
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Object, Property

from mlflow_model import container
from mlflow_model.model import EXPLAIN, TrainingRecord, installed_package
from mypreprocessing import Patient

CODE: Final = Path(__file__).with_name("model.py")
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
ANSWER: Final = (
    Property("model", DataType.string),
    Property("pred", DataType.long),
    Property("probability", DataType.double),
)
"""What every `mlflow_model.model.Prediction` has, in MLflow's words."""


def input_example() -> tuple[list[Patient], dict[str, bool]]:
    """Return the one patient that the examples on the fields of `Patient` make up, and parameters.

    MLflow takes from here which parameters there are, and their defaults.
    """
    fields = Patient.model_fields.items()
    patient = Patient.model_validate({name: (field.examples or [])[0] for name, field in fields})
    return [patient], {EXPLAIN: False}


def save_model(
    path: str | Path,
    mlflow_model: Model | None = None,
    *,
    booster: xgboost.Booster,
    threshold: float,
    **options: Any,
) -> None:
    """Write the model to a folder, as `mlflow.models.Model.log` asks of a flavor.

    Parameters
    ----------
    path
        The folder to make.
    mlflow_model
        What MLflow knows about the model so far.
    booster
        Trained on the columns of `mypreprocessing.FEATURES`, with these names.
    threshold
        The probability from which a prediction is 1.
    options
        Handed to `mlflow.pyfunc.save_model`.
    """
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {"booster": f"{folder}/booster.ubj", "training": f"{folder}/training.json"}
        booster.save_model(artifacts["booster"])
        record: TrainingRecord = {"threshold": threshold, "mypreprocessing": installed_package()}
        Path(artifacts["training"]).write_text(json.dumps(record, indent=2), encoding="utf-8")
        with _unannounced():
            mlflow.pyfunc.save_model(
                path,
                mlflow_model=mlflow_model,
                python_model=str(CODE),
                artifacts=artifacts,
                input_example=input_example(),
                pip_requirements=str(REQUIREMENTS),
                **options,
            )
    _describe_answers(Path(path), mlflow_model)
    _lock_environment(Path(path))
    _write_manifest(Path(path))


def _describe_answers(path: Path, mlflow_model: Model | None) -> None:
    """Put what a `Prediction` has into the signature: MLflow reads it from a BaseModel alone."""
    saved = Model.load(str(path))
    saved.signature.outputs = Schema([ColSpec(Object(list(ANSWER)))])
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


def _lock_environment(model: Path) -> None:
    """Make the three descriptions of the environment say the lock and nothing else.

    MLflow puts an ``mlflow`` without a hash in front of the requirements and lists pip, setuptools
    and wheel without hashes: one such line switches hash checking off, or lets pip refuse.
    """
    # No patch release: a machine that has another one serves the model too.
    python, lock = sysconfig.get_python_version(), "-r requirements.txt"
    (model / "requirements.txt").write_bytes(REQUIREMENTS.read_bytes())
    conda = {
        "name": "diabetes",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", {"pip": [lock]}],
    }
    _write_yaml(model / "conda.yaml", conda)
    _write_yaml(model / "python_env.yaml", {"python": python, "dependencies": [lock]})


def _write_manifest(model: Path) -> None:
    """Write down the SHA-256 of every file: a container refuses to serve others."""
    text = json.dumps(container.digests(model), indent=2)
    (model / container.MANIFEST).write_text(text, encoding="utf-8")


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

"""A model that takes as long as it is asked to, and says which process did the work.

MLflow copies this file into a model and executes it there.
"""

import os
import time
from pathlib import Path

import mlflow.models
from mlflow.pyfunc.model import PythonModel
from pydantic import BaseModel, Field


class Task(BaseModel):
    """How long to work, and where to leave what shows that it began and that it ended."""

    seconds: float = Field(ge=0, le=60, examples=[0.02])
    mark: str = ""


class Done(BaseModel):
    """The process that worked."""

    pid: int


class SlowModel(PythonModel):
    """Sleep."""

    def predict(self, model_input: list[Task]) -> list[Done]:  # type: ignore[override] # as MLflow wants it
        """Do one task after the other."""
        return [self._work(task) for task in model_input]

    def _work(self, task: Task) -> Done:
        if task.mark:
            Path(f"{task.mark}.begun").touch()
        time.sleep(task.seconds)
        if task.mark:
            Path(f"{task.mark}.ended").touch()
        return Done(pid=os.getpid())


mlflow.models.set_model(SlowModel())

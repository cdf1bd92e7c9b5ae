"""What a training can be told, with defaults and limits."""

from typing import Annotated, Final, Literal

from pydantic import Field

from mlflow_sealed.batch.session import LOCAL
from mlflow_sealed.training.measure.options import DataFile, Evaluating, LeastSensitivity
from training.project import PROJECT

DATA: Final = PROJECT.data.file

XGBOOST: Final = "xgboost"
SPARK: Final = "spark"
"""The engines: this process, and tasks of Apache Spark."""


class Options(Evaluating):
    """Train once. MLproject offers the same options, with the same defaults.

    Those from trees to reg_lambda are what `training.tune` has chosen: the best of 110 trials, on
    the training rows of the default split. The cross-validation over all rows has most of those
    rows too, so it may be a little too good; the held-out rows had no part in it.
    """

    data: DataFile = DATA
    least_sensitivity: LeastSensitivity = PROJECT.bounds.least_sensitivity
    trees: int = Field(default=90, ge=1, le=10_000, description="number of boosted trees")
    depth: int = Field(default=3, ge=1, le=16, description="depth of a tree")
    learning_rate: float = Field(default=0.0424, gt=0, le=1, description="shrinkage of each tree")
    subsample: float = Field(
        default=0.85, gt=0, le=1, description="share of the rows that a tree sees"
    )
    colsample: float = Field(
        default=0.5, gt=0, le=1, description="share of the features that a tree sees"
    )
    min_child_weight: float = Field(default=1, ge=0, description="least weight of a leaf")
    reg_lambda: float = Field(default=0.115, ge=0, description="L2 penalty on the leaves")
    engine: Literal["xgboost", "spark"] = Field(
        default=XGBOOST, description="what fits the trees: xgboost, in this process, or spark"
    )
    master: str = Field(
        default=LOCAL, description="the master of engine spark, such as spark://HOST:PORT"
    )
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default="auto",
        description="tasks that fit together with engine spark, or auto: by the rows",
    )

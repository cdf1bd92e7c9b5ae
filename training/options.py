"""What a training can be told, with defaults and limits."""

from pathlib import Path
from typing import Annotated, Final, Literal

from mlflow_sealed.batch.session import LOCAL
from pydantic import BaseModel, ConfigDict, Field

from training.project import PROJECT

DATA: Final = PROJECT.data.file

SENSITIVITY: Final = "sensitivity"
YOUDEN: Final = "youden"
FIXED: Final = "fixed"
"""The rules for the threshold: two to choose, and that of a threshold that was given."""

XGBOOST: Final = "xgboost"
SPARK: Final = "spark"
"""The engines: this process, and tasks of Apache Spark."""


class Measuring(BaseModel):
    """What is measured on: the data, what is held out of it, and the folds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path = Field(default=DATA, description="the CSV to train on")
    test_size: float = Field(default=0.2, gt=0, lt=1, description="share of the rows held out")
    folds: int = Field(default=10, ge=2, le=100, description="folds of the cross-validation")
    repeats: int = Field(default=10, ge=1, le=100, description="repeats of the cross-validation")
    seed: int = Field(default=7, ge=0, lt=2**31, description="seed of split, folds and trees")


class Options(Measuring):
    """Train once. MLproject offers the same options, with the same defaults.

    Those from trees to reg_lambda are what `training.tune` has chosen: the best of 110 trials, on
    the training rows of the default split. The cross-validation over all rows has most of those
    rows too, so it may be a little too good; the held-out rows had no part in it.
    """

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
    # A screening test that misses a patient fails her; one that alarms costs another test. Youden's
    # rule weighs both alike, and its maximum wanders more from sample to sample.
    threshold_rule: Literal["sensitivity", "youden"] = Field(
        default=SENSITIVITY, description="how the threshold is chosen: sensitivity or youden"
    )
    least_sensitivity: float = Field(
        default=0.8, gt=0, le=1, description="what the rule sensitivity has to reach"
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["rule"] = Field(
        default="rule", description="probability from which pred is 1, or rule: by threshold_rule"
    )
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

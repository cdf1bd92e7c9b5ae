"""What measuring can be told. A project's own options derive from it, with its own defaults."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SENSITIVITY: Final = "sensitivity"
YOUDEN: Final = "youden"
FIXED: Final = "fixed"
"""The rules for the threshold: two to choose, and that of a threshold that was given."""

DataFile = Annotated[Path, Field(description="the CSV to train on")]
LeastSensitivity = Annotated[
    float, Field(gt=0, le=1, description="what the rule sensitivity has to reach")
]


class Measuring(BaseModel):
    """What is measured on: the data, what is held out of it, and the folds."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: DataFile
    test_size: float = Field(default=0.2, gt=0, lt=1, description="share of the rows held out")
    folds: int = Field(default=10, ge=2, le=100, description="folds of the cross-validation")
    repeats: int = Field(default=10, ge=1, le=100, description="repeats of the cross-validation")
    seed: int = Field(default=7, ge=0, lt=2**31, description="seed of split, folds and fitting")


class Evaluating(Measuring):
    """What an evaluation can be told: what it measures on, and how the threshold is chosen."""

    # A test that misses a case fails somebody; one that alarms costs another test. Youden's rule
    # weighs both alike, and its maximum wanders more from sample to sample.
    threshold_rule: Literal["sensitivity", "youden"] = Field(
        default=SENSITIVITY, description="how the threshold is chosen: sensitivity or youden"
    )
    least_sensitivity: LeastSensitivity = 0.8
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["rule"] = Field(
        default="rule", description="probability from which pred is 1, or rule: by threshold_rule"
    )

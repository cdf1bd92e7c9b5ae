"""The model that is trained: what measuring, registering and showing have to know of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from mlflow_sealed.project import Project

Predictor = Callable[
    [pd.DataFrame, npt.NDArray[np.int64], pd.DataFrame, Any], npt.NDArray[np.float64]
]
"""Fits to records and labels, and returns a probability for each of other records.

Its last argument is the training's options, of a class derived from
`mlflow_sealed.training.measure.options.Measuring`.
"""


@dataclass(frozen=True)
class Subject:
    """The model that is trained, as far as measuring, registering and showing have to know it.

    Attributes
    ----------
    project
        Its names, words and bounds.
    record
        The class of one row; each field's ``json_schema_extra["unit"]`` is its unit.
    features
        The names of the columns that ``preprocess`` returns.
    nullable
        The features that may be missing.
    preprocess
        Returns the features of records, float32, shape (n, features), NaN where one is missing.
    predictors
        What is cross-validated on the same folds, by name: the model itself comes first, and is
        called `mlflow_sealed.training.measure.results.MODEL`.
    titles
        What each of them is called where it is shown.
    memberships
        Gives the kind, the name and the row numbers of each group of records that figures are
        shown for.
    """

    project: Project
    record: type[BaseModel]
    features: tuple[str, ...]
    nullable: tuple[str, ...]
    preprocess: Callable[[pd.DataFrame], npt.NDArray[np.float32]]
    predictors: Mapping[str, Predictor]
    titles: Mapping[str, str]
    memberships: Callable[[pd.DataFrame], Iterator[tuple[str, str, npt.NDArray[np.intp]]]]

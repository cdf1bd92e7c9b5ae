"""What every peer predicts with: the run's booster, behind the private preprocessing."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import xgboost
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from mypreprocessing import Patient, preprocess


class Prediction(TypedDict):
    """The answer for one patient; a dictionary, which costs every framework the least."""

    model: str
    pred: int
    probability: float


class Model:
    """The booster and its threshold, from the folder ``MODEL_ARTIFACTS``, named ``MODEL_NAME``."""

    def __init__(self) -> None:
        artifacts = Path(os.environ["MODEL_ARTIFACTS"])
        self._name = os.environ["MODEL_NAME"]
        # One thread: a request is small, and one worker is what is compared.
        self._booster = xgboost.Booster({"nthread": 1}, model_file=artifacts / "booster.ubj")
        self._threshold = json.loads((artifacts / "training.json").read_bytes())["threshold"]

    def predict(self, patients: Sequence[Patient]) -> list[Prediction]:
        """Return one prediction for each patient, with one call of the booster."""
        found = self._booster.inplace_predict(preprocess(patients)).tolist()
        return [
            Prediction(model=self._name, pred=int(one >= self._threshold), probability=one)
            for one in found
        ]

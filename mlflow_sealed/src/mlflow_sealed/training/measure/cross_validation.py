"""What is cross-validated on the same folds: the model, and what it has to be better than."""

from collections.abc import Iterator, Mapping

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

from mlflow_sealed.training.measure.options import Measuring
from mlflow_sealed.training.measure.results import Floats
from mlflow_sealed.training.subject import Predictor

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]


def out_of_fold(
    records: pd.DataFrame,
    labels: Labels,
    options: Measuring,
    *,
    predictors: Mapping[str, Predictor],
    jobs: int = -1,
) -> dict[str, Floats]:
    """Return each predictor's probabilities for records that it has not seen.

    The folds are those of `folds`. All that a predictor learns from data, medians for missing
    values too, it learns inside the fold.

    Parameters
    ----------
    records, labels
        Shapes (n, columns) and (n,).
    options
        Those of the predictors too.
    jobs
        How many folds at a time, each in a thread: XGBoost works without Python's lock. -1 is
        one a processor. The result is the same whatever it is.

    Returns
    -------
    dict
        For each predictor, float64, shape (repeats, n).
    """
    tasks = [
        (name, repeat, training, held_out)
        for name in predictors
        for repeat, training, held_out in folds(labels, options)
    ]
    predicted = joblib.Parallel(jobs, prefer="threads", return_as="generator")(
        joblib.delayed(predictors[name])(
            records.iloc[training], labels[training], records.iloc[held_out], options
        )
        for name, _, training, held_out in tasks
    )
    found = {name: np.empty((options.repeats, len(labels))) for name in predictors}
    shown = tqdm(predicted, "cross-validation", len(tasks), unit="fold", disable=None, leave=False)
    for (name, repeat, _, held_out), probability in zip(tasks, shown, strict=True):
        found[name][repeat, held_out] = probability
    return found


def folds(labels: Labels, options: Measuring) -> Iterator[tuple[int, Rows, Rows]]:
    """Give the folds: the repeat, and the rows to train on and to predict.

    In each repeat every row is predicted once, and the share of positive labels is kept. The folds
    depend on the labels, and on the options folds, repeats and seed.
    """
    for repeat in range(options.repeats):
        fold = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed + repeat)
        for training, held_out in fold.split(labels, labels):
            yield repeat, training, held_out

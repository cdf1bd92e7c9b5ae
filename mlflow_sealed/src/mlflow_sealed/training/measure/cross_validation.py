"""What is cross-validated on the same folds: the model, and what it has to be better than."""

from collections.abc import Callable, Iterator
from typing import Final

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tqdm import tqdm
from xgboost import XGBClassifier

from mlflow_sealed.training.measure.results import (
    ARTICLE,
    CANDIDATES,
    LOGISTIC_REGRESSION,
    MODEL,
    Floats,
)
from mypreprocessing import FEATURES, preprocess
from training.fit import fit, probabilities
from training.options import Options

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]


def out_of_fold(
    records: pd.DataFrame,
    labels: Labels,
    options: Options,
    *,
    candidates: tuple[str, ...] = tuple(CANDIDATES),
    jobs: int = -1,
) -> dict[str, Floats]:
    """Return each candidate's probabilities for records that it has not seen.

    The folds are those of `folds`. All that a candidate learns from data, medians for missing
    values too, it learns inside the fold.

    Parameters
    ----------
    records, labels
        Shapes (n, 8) and (n,).
    jobs
        How many folds at a time, each in a thread: XGBoost's own work runs beside Python's. -1 is
        one a processor. The result is the same whatever it is.

    Returns
    -------
    dict
        For each candidate, float64, shape (repeats, n).
    """
    tasks = [
        (name, repeat, training, held_out)
        for name in candidates
        for repeat, training, held_out in folds(labels, options)
    ]
    predicted = joblib.Parallel(jobs, prefer="threads", return_as="generator")(
        joblib.delayed(PREDICT[name])(
            records.iloc[training], labels[training], records.iloc[held_out], options
        )
        for name, _, training, held_out in tasks
    )
    found = {name: np.empty((options.repeats, len(labels))) for name in candidates}
    shown = tqdm(predicted, "cross-validation", len(tasks), unit="fold", disable=None, leave=False)
    for (name, repeat, _, held_out), probability in zip(tasks, shown, strict=True):
        found[name][repeat, held_out] = probability
    return found


def folds(labels: Labels, options: Options) -> Iterator[tuple[int, Rows, Rows]]:
    """Give the folds: the repeat, and the rows to train on and to predict.

    In each repeat every row is predicted once, and the share of positive labels is kept. The folds
    depend on the labels, and on the options folds, repeats and seed.
    """
    for repeat in range(options.repeats):
        fold = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed + repeat)
        for training, held_out in fold.split(labels, labels):
            yield repeat, training, held_out


def _model(records: pd.DataFrame, labels: Labels, unseen: pd.DataFrame, options: Options) -> Floats:
    return probabilities(fit(records, labels, options), unseen)


def _logistic_regression(
    records: pd.DataFrame, labels: Labels, unseen: pd.DataFrame, _: Options
) -> Floats:
    """Preprocess, impute medians, scale, regress: all from the training rows alone."""
    pipeline = make_pipeline(
        FunctionTransformer(preprocess),
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(),
    )
    return np.asarray(pipeline.fit(records, labels).predict_proba(unseen)[:, 1], dtype=np.float64)


def _article(
    records: pd.DataFrame, labels: Labels, unseen: pd.DataFrame, options: Options
) -> Floats:
    """Train as the article does: XGBoost's defaults, a missing measurement stays a zero."""
    classifier = XGBClassifier(random_state=options.seed, n_jobs=1)
    classifier.fit(_zeros_kept(records), labels)
    return np.asarray(classifier.predict_proba(_zeros_kept(unseen))[:, 1], dtype=np.float64)


def _zeros_kept(records: pd.DataFrame) -> npt.NDArray[np.float32]:
    return records[list(FEATURES)].fillna(0).to_numpy(np.float32)


PREDICT: Final[dict[str, Callable[[pd.DataFrame, Labels, pd.DataFrame, Options], Floats]]] = {
    MODEL: _model,
    LOGISTIC_REGRESSION: _logistic_regression,
    ARTICLE: _article,
}

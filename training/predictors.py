"""What is cross-validated on the same folds: the model, and what it has to be better than."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBClassifier

from mlflow_sealed.training.measure.results import MODEL, Floats
from mlflow_sealed.training.subject import Predictor
from training.fit import fit, probabilities
from training.options import Options
from training.preprocessing import FEATURES, preprocess

Labels = npt.NDArray[np.int64]

LOGISTIC_REGRESSION: Final = "logistic_regression"
ARTICLE: Final = "article"


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


PREDICTORS: Final[dict[str, Predictor]] = {
    MODEL: _model,
    LOGISTIC_REGRESSION: _logistic_regression,
    ARTICLE: _article,
}

TITLES: Final = {
    MODEL: "This model",
    LOGISTIC_REGRESSION: "Logistic regression",
    ARTICLE: "The article's model",
}
"""What each is called where it is shown."""

"""Fit the booster: from records to a classifier, with the preprocessing inside."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from xgboost import DMatrix, XGBClassifier

from mypreprocessing import FEATURES, preprocess
from training.options import Options


def fit(records: pd.DataFrame, labels: npt.NDArray[np.int64], options: Options) -> XGBClassifier:
    """Fit gradient-boosted trees to records, preprocessed as they will be when served.

    Parameters
    ----------
    records
        Shape (n, 8), the columns of `mypreprocessing.FEATURES`.
    labels
        Shape (n,), 0 or 1.

    Returns
    -------
    xgboost.XGBClassifier
        Its booster knows the names of the features. The same input gives the same bytes: one
        thread, one seed.
    """
    classifier = XGBClassifier(
        n_estimators=options.trees,
        max_depth=options.depth,
        learning_rate=options.learning_rate,
        subsample=options.subsample,
        colsample_bytree=options.colsample,
        min_child_weight=options.min_child_weight,
        reg_lambda=options.reg_lambda,
        random_state=options.seed,
        n_jobs=1,
    )
    return classifier.fit(_features(records), labels)


def probabilities(classifier: XGBClassifier, records: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the probability of diabetes for each record, shape (n,)."""
    predicted = classifier.predict_proba(_features(records))[:, 1]
    return np.asarray(predicted, dtype=np.float64)


def contributions(classifier: XGBClassifier, records: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the SHAP values of records in log-odds, shape (n, features + 1).

    The last column is the base value; a row adds up to the margin. It is XGBoost's own TreeSHAP:
    Lundberg et al., 'From local explanations to global understanding with explainable AI for
    trees', Nature Machine Intelligence 2020.
    """
    found = classifier.get_booster().predict(DMatrix(_features(records)), pred_contribs=True)
    return np.asarray(found, dtype=np.float64)


def _features(records: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(preprocess(records), columns=list(FEATURES))

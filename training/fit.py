"""Fit the booster: from records to a classifier, with the preprocessing inside."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from xgboost import DMatrix, XGBClassifier

from training.options import Options
from training.preprocessing import FEATURES, preprocess
from training.project import PROJECT

RISING: Final = PROJECT.features.rising
"""The features of which more never lowers the predicted risk, all else equal.

project.toml names them; the reasons:

glucose
    The diagnosis itself is a glucose from a limit on: World Health Organization, 'Definition and
    diagnosis of diabetes mellitus and intermediate hyperglycaemia', 2006.
bmi
    Incidence among the Pima rises with it at every age: Knowler et al., 'Diabetes incidence in
    Pima Indians: contributions of obesity and parental diabetes', Am J Epidemiol 113, 1981.
diabetes_pedigree
    It is made to grow with diabetic relatives and their nearness: Smith et al., 'Using the ADAP
    learning algorithm to forecast the onset of diabetes mellitus', 1988. Parental diabetes raises
    the incidence: Knowler 1981.

The others stay free. Age: the incidence among the Pima falls again after middle age (Knowler et
al., 'Diabetes incidence and prevalence in Pima Indians', Am J Epidemiol 108, 1978). Pregnancies go
with age, and what they do by themselves is disputed. Insulin after a glucose load first rises and
then fails as diabetes comes. For blood pressure and skin thickness no direction is established
once the BMI is known. Where a measurement is missing the trees are free as well.
"""


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
    classifier = XGBClassifier(**parameters(options), n_jobs=1)
    return classifier.fit(features(records), labels)


def parameters(options: Options) -> dict[str, Any]:
    """Return what XGBoost is told, whichever engine it runs on."""
    return {
        "n_estimators": options.trees,
        "max_depth": options.depth,
        "learning_rate": options.learning_rate,
        "subsample": options.subsample,
        "colsample_bytree": options.colsample,
        "min_child_weight": options.min_child_weight,
        "reg_lambda": options.reg_lambda,
        "monotone_constraints": dict.fromkeys(RISING, 1),
        "random_state": options.seed,
    }


def probabilities(classifier: XGBClassifier, records: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the probability of diabetes for each record, shape (n,)."""
    predicted = classifier.predict_proba(features(records))[:, 1]
    return np.asarray(predicted, dtype=np.float64)


def contributions(classifier: XGBClassifier, records: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the SHAP values of records in log-odds, shape (n, features + 1).

    The last column is the base value; a row adds up to the margin. It is XGBoost's own TreeSHAP:
    Lundberg et al., 'From local explanations to global understanding with explainable AI for
    trees', Nature Machine Intelligence 2020.
    """
    found = classifier.get_booster().predict(DMatrix(features(records)), pred_contribs=True)
    return np.asarray(found, dtype=np.float64)


def features(records: pd.DataFrame) -> pd.DataFrame:
    """Return the features of records under their names, float32, shape (n, 8)."""
    return pd.DataFrame(preprocess(records), columns=list(FEATURES))

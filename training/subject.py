"""The model of this project, as measuring, registering and showing have to know it."""

from typing import Final

from mlflow_sealed.training.measure.cross_validation import PREDICT
from mlflow_sealed.training.measure.results import CANDIDATES
from mlflow_sealed.training.measure.subgroups import memberships
from mlflow_sealed.training.subject import Subject

from mypreprocessing import FEATURES, MEASUREMENTS, Patient, preprocess
from training.project import PROJECT

SUBJECT: Final = Subject(
    project=PROJECT,
    record=Patient,
    features=FEATURES,
    nullable=MEASUREMENTS,
    preprocess=preprocess,
    predictors=PREDICT,
    titles=CANDIDATES,
    memberships=memberships,
)

"""The diabetes model, as the toolkit has to know it to measure, register and show it."""

from typing import Final

from mlflow_sealed.training.subject import Subject
from training.groups import memberships
from training.predictors import PREDICTORS, TITLES
from training.preprocessing import FEATURES, MEASUREMENTS, Patient, preprocess
from training.project import PROJECT

SUBJECT: Final = Subject(
    project=PROJECT,
    record=Patient,
    features=FEATURES,
    nullable=MEASUREMENTS,
    preprocess=preprocess,
    predictors=PREDICTORS,
    titles=TITLES,
    memberships=memberships,
)

"""The preprocessing of the diabetes model: one checked record, and the features made from it."""

from mypreprocessing.features import preprocess
from mypreprocessing.patient import FEATURES, MEASUREMENTS, Patient

__all__ = ["FEATURES", "MEASUREMENTS", "Patient", "preprocess"]

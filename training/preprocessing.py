"""The private package, as the training uses it: the one module that imports it."""

from mypreprocessing import FEATURES, MEASUREMENTS, Patient, preprocess

__all__ = ["FEATURES", "MEASUREMENTS", "Patient", "preprocess"]

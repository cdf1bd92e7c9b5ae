"""The data that a model is trained on, once it has been read."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


class DataError(ValueError):
    """The data cannot be trained on; the message says where and why, and shows no value."""


@dataclass(frozen=True)
class Dataset:
    """Records and labels in the order of the file.

    Attributes
    ----------
    records
        DataFrame, one row a record, with the columns as they were read.
    labels
        int64, shape (n,), 1 for a positive record and 0 for any other.
    sha256
        Of the file's bytes, in hexadecimal.
    """

    records: pd.DataFrame
    labels: npt.NDArray[np.int64]
    sha256: str

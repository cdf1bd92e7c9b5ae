"""The project that the training belongs to: its names, words and bounds, from project.toml."""

from pathlib import Path
from typing import Final

from mlflow_sealed import project

PROJECT: Final = project.read(Path(__file__).parent.parent)
NAME: Final = PROJECT.names.model
EXPERIMENT: Final = PROJECT.names.experiment
LABEL: Final = PROJECT.data.label

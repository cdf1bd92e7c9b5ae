"""The project whose model is measured: its folder, its names and its locks."""

from pathlib import Path
from typing import Final

from mlflow_sealed import project

PROJECT: Final = project.read(Path(__file__).parent.parent)
ROOT: Final = PROJECT.root
NAME: Final = PROJECT.names.model

"""Which version of the private package the tests are about."""

import importlib.metadata
from typing import Final

VERSION: Final = importlib.metadata.version("mypreprocessing")

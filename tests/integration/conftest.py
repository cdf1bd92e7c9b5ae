"""Whole commands, as a user types them."""

import pytest


@pytest.fixture(autouse=True)
def _unmeasured(no_cover: None) -> None:
    """Measure no coverage: the commands are processes of their own, which have none either."""

"""Whole commands, as a user types them."""

import pytest


@pytest.fixture(autouse=True)
def _unmeasured(no_cover: None) -> None:
    """Measure no coverage: what runs here are processes of their own."""

"""Logging: what a run and a version say of the private package."""

import json

import pytest

from mlflow_sealed.training import log


@pytest.mark.parametrize(
    ("direct_url", "place"),
    [
        (None, "index"),
        (json.dumps({"url": "file:///x", "dir_info": {"editable": True}}), "editable sources"),
        (json.dumps({"url": "file:///x.whl", "archive_info": {}}), "file"),
    ],
)
def test_where_the_package_was_installed_from_follows_pep_610(
    monkeypatch: pytest.MonkeyPatch, direct_url: str | None, place: str
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return direct_url

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Distribution())
    assert log.installed_from("example") == place

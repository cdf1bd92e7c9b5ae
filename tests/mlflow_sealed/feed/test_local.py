"""The local feed: who may read it, and what it answers for what it does not have."""

import stat
from pathlib import Path

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.feed.local import LocalFeed
from tests.conftest import Feed


def test_the_feed_serves_the_package_to_whoever_knows_the_password(feed: Feed) -> None:
    page = requests.get(feed.index.authenticated_url + "mypreprocessing/", timeout=10)
    assert page.status_code == 200
    assert "#sha256=" in page.text


@pytest.mark.parametrize("path", ["", "mypreprocessing/", "../packages/"])
@pytest.mark.parametrize("auth", [None, ("feed", "wrong"), ("nobody", "")])
def test_the_feed_shows_nothing_to_anybody_else(
    feed: Feed, path: str, auth: tuple[str, str] | None
) -> None:
    answer = requests.get(feed.index.url + path, auth=auth, timeout=10)
    assert answer.status_code in {401, 403}
    assert ".whl" not in answer.text


def test_the_feed_sends_nobody_to_the_public_index(feed: Feed) -> None:
    url = feed.index.authenticated_url + "numpy/"
    assert requests.get(url, timeout=10, allow_redirects=False).status_code == 404


def test_the_password_is_random_private_and_kept(tmp_path: Path) -> None:
    first, second = LocalFeed(tmp_path / "first"), LocalFeed(tmp_path / "second")
    password = first.index().password
    assert len(password) >= 32
    assert password not in {second.index().password, ""}
    assert LocalFeed(tmp_path / "first").index().password == password
    assert stat.S_IMODE((tmp_path / "first" / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o700


@pytest.mark.services
def test_the_feed_is_not_there_before_its_first_start_and_gone_after_the_block(
    tmp_path: Path,
) -> None:
    local, port = LocalFeed(tmp_path / "home"), process.free_port()
    assert not local.exists()
    with local.serving(port) as index:
        assert local.exists()
        assert requests.get(index.authenticated_url, timeout=10).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(index.url, timeout=10)
    assert stat.S_IMODE((tmp_path / "home" / "htpasswd").stat().st_mode) == 0o600
    assert index.password not in (tmp_path / "home" / "feed.log").read_text(encoding="utf-8")

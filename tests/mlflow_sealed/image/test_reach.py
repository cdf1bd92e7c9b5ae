"""The feed is asked before a build: what is wrong with it is one line, and takes seconds."""

import time
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.image import plugin, reach
from tests.conftest import Feed
from tests.mlflow_sealed.feed.answering import Answer, answering, certificate, trusted

pytestmark = pytest.mark.services

NAME = "mlflow_sealed-1-py3-none-any.whl"
PAGE = "/simple/mlflow-sealed/"
FILE = f"/files/{NAME}"
LISTED = Answer(body=f'<a href="{FILE}">{NAME}</a>', headers={"Content-Type": "text/html"})


def closed() -> Index:
    return Index(f"http://127.0.0.1:{process.free_port()}/simple/", "me", "s3cret")


def test_a_feed_that_gives_the_package_is_fine(feed: Feed) -> None:
    reach.check(credential.from_index(feed.index))


def test_a_wrong_password_is_named(feed: Feed) -> None:
    wrong = Index(feed.index.url, feed.index.username, "wr0ng")
    with pytest.raises(reach.FeedError, match="refuses the user name or password") as error:
        reach.check(credential.from_index(wrong))
    assert "wr0ng" not in str(error.value)


def test_a_feed_that_is_down_is_named_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(reach.FeedError, match="cannot be reached"):
        reach.check(credential.from_index(closed()))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        pytest.param({PAGE: Answer(401)}, "refuses the user name or password", id="401"),
        pytest.param({PAGE: Answer(403)}, "refuses the user name or password", id="403"),
        pytest.param({}, "has no mlflow-sealed .status 404.: publish it", id="404"),
        pytest.param({PAGE: Answer(429)}, "status 429", id="429"),
        pytest.param({PAGE: Answer(503)}, "status 503", id="503"),
        pytest.param({PAGE: LISTED, FILE: Answer(403)}, "mlflow_sealed-1-py3.*403", id="a file"),
    ],
)
def test_what_is_wrong_with_a_feed_is_a_line(answers: dict[str, Answer], line: str) -> None:
    with answering(answers) as server, pytest.raises(reach.FeedError, match=line) as error:
        reach.check(credential.from_index(server.index))
    assert len(str(error.value).splitlines()) == 1
    assert server.index.password not in str(error.value)


def test_of_several_feeds_one_has_it() -> None:
    with answering({PAGE: LISTED, FILE: Answer()}) as one, answering({}) as other:
        urls = (other.index.authenticated_url, one.index.authenticated_url)
        reach.check(credential.Credential(other.index, urls))
        assert other.asked


def test_each_of_several_feeds_is_asked() -> None:
    with answering({PAGE: LISTED, FILE: Answer()}) as one:
        urls = (one.index.authenticated_url, closed().authenticated_url)
        with pytest.raises(reach.FeedError, match="cannot be reached"):
            reach.check(credential.Credential(one.index, urls))


def test_a_feed_behind_a_corporate_ca_is_asked_with_its_bundle(tmp_path: Path) -> None:
    ca, leaf = certificate("127.0.0.1")
    with answering({PAGE: LISTED, FILE: Answer()}, leaf) as server:
        environ = {"PIP_EXTRA_INDEX_URL": server.index.authenticated_url}
        reach.check(credential.read({**environ, "PIP_CERT": trusted(ca, tmp_path)}))
        with pytest.raises(reach.FeedError, match="certificate"):
            reach.check(credential.read(environ))


def test_a_bundle_that_is_absent_is_named_before_it_is_used() -> None:
    environ = {"PIP_EXTRA_INDEX_URL": closed().authenticated_url, "PIP_CERT": "nowhere.pem"}
    with pytest.raises(process.ProcessError, match="nowhere.pem. is no file: name the CA bundle"):
        plugin.build_doubt(credential.read(environ), here=True)


def test_an_engine_elsewhere_may_reach_what_this_machine_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = credential.from_index(closed())
    doubt = plugin.build_doubt(found, here=False)
    assert "cannot be reached" in doubt
    shown = capsys.readouterr().err
    assert shown == f"warning: asked from this machine, not the engine's: {doubt}\n"

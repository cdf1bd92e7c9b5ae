"""Reading a package's page and its files: what is found, and one line for each failure."""

import http.server
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import reading
from mlflow_sealed.feed.answers import FeedError
from mlflow_sealed.feed.credential import Index
from tests.mlflow_sealed.feed.answering import PASSWORD, Answer, answering, certificate, trusted

pytestmark = pytest.mark.services

PAGE = "/simple/mine/"
FILE = "mine-1.0-py3-none-any.whl"
SHA256 = "abcdef" + "0" * 58


def link(fragment: str = "", url: str = f"/files/{FILE}") -> Answer:
    """The page of a package with one file."""
    return Answer(
        body=f'<a href="{url}{fragment}">{FILE}</a>', headers={"Content-Type": "text/html"}
    )


def document(digests: Mapping[str, str]) -> Answer:
    """The same as JSON."""
    files = [{"filename": FILE, "url": f"/files/{FILE}", "hashes": digests}]
    page = {"meta": {"api-version": "1.0"}, "name": "mine", "files": files}
    kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    return Answer(body=json.dumps(page), headers=kind)


def failure(index: Index) -> str:
    """Return the one line that asking for the package ends with."""
    with pytest.raises(FeedError) as error:
        reading.check_access(index, "mine")
    line = str(error.value)
    assert line.startswith(index.url)
    assert "\n" not in line
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in line
    return line


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401), "refuses the user name or password (status 401): check them"),
        (Answer(403), "refuses the user name or password (status 403), or does not let this user"),
        (Answer(404), "has no mine (status 404): publish it, or check the address"),
        (Answer(429), "gets too many requests (status 429): wait a minute and try again"),
        (Answer(500), "fails (status 500): try again later"),
        (Answer(503, "Busy"), "fails (status 503, Busy): try again later"),
        (Answer(403, f"Not for {quote(PASSWORD, safe='')}"), "(status 403, Not for …)"),
        (Answer(403, body=json.dumps({"message": f"no {PASSWORD}"})), "(status 403, no …)"),
        (
            Answer(302, headers={"Location": "http://localhost:PORT/simple/mine/"}),
            "sends its clients to another host (localhost) for mine: publish it, switch forwarding",
        ),
        (Answer(302, headers={"Location": PAGE}), "redirects for ever: check the address"),
        (Answer(headers={"Content-Type": "image/png"}), "is not a package index: check the addr"),
        (
            Answer(body="no", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}),
            "is not a package index: check the address",
        ),
        (
            Answer(body="{}", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}),
            "is not a package index: check the address",
        ),
        (
            Answer(body="[]", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}),
            "is not a package index: check the address",
        ),
        (
            Answer(body="{}", headers={"Content-Type": "application/vnd.pypi.simple.v99+json"}),
            "is not a package index: check the address",
        ),
        (
            Answer(body="log in", headers={"Content-Type": "text/html"}),
            "lists no file of mine: publish it",
        ),
        (
            Answer(body="no gzip, which it says", headers={"Content-Encoding": "gzip"}),
            "ends early or is damaged",
        ),
    ],
    ids=lambda value: "" if isinstance(value, Answer) else value[:40],
)
def test_a_page_that_cannot_be_read_is_one_line(answer: Answer, told: str) -> None:
    with answering({PAGE: answer}) as server:
        assert told in failure(server.index)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401), f"(status 401) for {FILE}, which it lists"),
        (
            Answer(403, "Forbidden"),
            f"lists {FILE} but does not let this user download it (status 4",
        ),
        (Answer(404), f"lists {FILE} but does not have it (status 404)"),
        (Answer(429), f"does not give {FILE}: it gets too many requests (status 429)"),
        (Answer(502), f"does not give {FILE}: it fails (status 502)"),
    ],
)
def test_a_file_that_is_listed_and_not_given_is_one_line(answer: Answer, told: str) -> None:
    with answering({PAGE: link(), f"/files/{FILE}": answer}) as server:
        assert told in failure(server.index)
        with pytest.raises(FeedError, match="status"):
            reading.published_sha256(FILE, server.index)


def test_a_page_on_another_host_is_not_asked_for_and_is_no_file_of_the_feeds() -> None:
    elsewhere = Answer(302, headers={"Location": f"http://localhost:PORT{PAGE}?other"})
    pages = {PAGE: elsewhere, f"{PAGE}?other": link(f"#sha256={SHA256}")}
    with answering(pages) as server:
        assert reading.published_sha256(FILE, server.index) is None
    assert [host for host, *_ in server.asked] == ["127.0.0.1"]


def test_a_page_elsewhere_on_the_same_host_is_followed_with_the_login() -> None:
    """The control of the test above."""
    moved = Answer(302, headers={"Location": f"{PAGE}?other"})
    with answering({PAGE: moved, f"{PAGE}?other": link(f"#sha256={SHA256}")}) as server:
        assert reading.published_sha256(FILE, server.index) == SHA256
    assert [login for *_, login in server.asked] == [True, True]


@pytest.mark.parametrize("way", ["link", "redirect"])
def test_a_file_on_another_host_is_read_without_the_login(way: str) -> None:
    content = Answer(body="wheel")
    with answering({"/blob": content}) as blobs:
        port = blobs.index.url.split(":")[2].removesuffix("/simple/")
        address = f"http://localhost:{port}/blob"
        redirect = Answer(302, headers={"Location": address})
        page = link(url=address) if way == "link" else link()
        with answering({PAGE: page, f"/files/{FILE}": redirect}) as server:
            assert reading.published_sha256(FILE, server.index) is not None
            reading.check_access(server.index, "mine")
    assert blobs.asked == [("localhost", "/blob", False)] * 2
    assert all(login for *_, login in server.asked)


@pytest.mark.parametrize(
    "page",
    [
        link(f"#sha256={SHA256}"),
        link(f"#sha256={SHA256.upper()}"),
        link(f"#SHA256={SHA256.upper()}"),
        document({"sha256": SHA256}),
        document({"sha256": SHA256.upper()}),
        document({"md5": "0" * 32, "SHA256": SHA256}),
    ],
    ids=["html", "html, capitals", "html, all capitals", "json", "json, capitals", "json, names"],
)
def test_a_hash_counts_whatever_its_case(page: Answer) -> None:
    with answering({PAGE: page}) as server:
        assert reading.published_sha256(FILE, server.index) == SHA256


def test_a_password_beyond_latin_1_is_sent() -> None:
    with answering({PAGE: link(), f"/files/{FILE}": Answer()}) as server:
        index = Index(server.index.url, "mé", "pässwörd€")
        reading.check_access(index, "mine")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_feed_with_a_ca_of_ones_own_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, leaf = certificate("127.0.0.1")
    with answering({PAGE: link(f"#sha256={SHA256}")}, leaf) as server:
        assert "a certificate that this machine does not trust: name its CA" in failure(
            server.index
        )
        for each in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(each, raising=False)
        monkeypatch.setenv(name, trusted(ca, tmp_path))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # is not asked all the same
        assert reading.published_sha256(FILE, server.index) == SHA256


@pytest.mark.parametrize(
    ("names", "days", "told"),
    [
        (["127.0.0.2"], 1, "has a certificate for another host: is the address right?"),
        (["127.0.0.1"], -1, "has a certificate that is not valid today"),
    ],
)
def test_a_certificate_that_does_not_hold_is_one_line(
    names: list[str], days: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, leaf = certificate(*names, days=days)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted(ca, tmp_path))
    with answering({}, leaf) as server:
        assert told in failure(server.index)


def test_a_server_without_tls_is_told_from_one_that_is_down() -> None:
    with answering({}) as server:
        plain = Index(server.index.url.replace("http:", "https:"), "me", PASSWORD)
        assert "does not speak TLS: is it http:// instead" in failure(plain)
    down = Index(f"http://127.0.0.1:{process.free_port()}/simple/", "me", PASSWORD)
    assert "cannot be reached (ConnectionError): is it up, is the address right?" in failure(down)


def test_a_host_that_nobody_knows_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    line = failure(Index("http://feed.invalid/simple/", "me", PASSWORD))
    assert "its host name is not known here" in line


def test_a_proxy_that_is_down_is_one_line_without_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "http_proxy", f"http://u:{quote(PASSWORD, safe='')}@127.0.0.1:{process.free_port()}"
    )
    line = failure(Index("http://feed.invalid/simple/", "me", PASSWORD))
    assert "cannot be reached through the proxy: check HTTPS_PROXY and NO_PROXY" in line


def test_a_server_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_TIMEOUT_S", 0.1)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as silent:
        index = Index(f"http://127.0.0.1:{silent.server_port}/simple/", "me", PASSWORD)
        assert "does not answer in time: is it up" in failure(index)

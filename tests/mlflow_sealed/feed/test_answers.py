"""The one line that a feed's answer becomes."""

from collections.abc import Callable
from functools import partial

import pytest

from mlflow_sealed.feed import answers

URL = "https://feed.example/simple/"
LINES: dict[str, Callable[..., str]] = {
    "page": partial(answers.page_line, URL, "mine"),
    "file": partial(answers.file_line, URL, "mine-1.whl"),
    "upload": partial(answers.upload_line, URL),
}


@pytest.mark.parametrize(
    ("what", "status", "told"),
    [
        ("page", 401, "refuses the user name or password (status 401): check them"),
        ("page", 403, "or does not let this user read mine: check them, and the user's role"),
        ("page", 404, "has no mine (status 404): publish it, or check the address"),
        ("page", 429, "gets too many requests (status 429): wait a minute"),
        ("page", 500, "fails (status 500): try again later"),
        ("page", 503, "fails (status 503): try again later"),
        ("page", 410, "answered otherwise than an index does (status 410): check the address"),
        ("file", 401, "(status 401) for mine-1.whl, which it lists: the login must hold for the"),
        ("file", 403, "lists mine-1.whl but does not let this user download it (status 403)"),
        ("file", 404, "lists mine-1.whl but does not have it (status 404): publish it again"),
        ("file", 429, "does not give mine-1.whl: it gets too many requests (status 429)"),
        ("file", 502, "does not give mine-1.whl: it fails (status 502): try again later"),
        ("upload", 400, "does not take the wheel (status 400): the reason is its own"),
        ("upload", 401, "refuses the user name or password (status 401): check them"),
        ("upload", 403, "(status 403), or does not let this user publish: check them, and"),
        ("upload", 404, "takes no uploads (status 404): name the feed's upload address with"),
        ("upload", 405, "takes no uploads (status 405): name the feed's upload address with"),
        ("upload", 409, "has a file of this name already (status 409): if it was just uploaded"),
        ("upload", 413, "takes no file of this size (status 413)"),
        ("upload", 429, "gets too many requests (status 429): wait a minute"),
        ("upload", 507, "fails (status 507): try again later"),
    ],
)
def test_each_status_has_a_line_of_what_it_means_and_what_to_do(
    what: str, status: int, told: str
) -> None:
    line = LINES[what](status)
    assert line.startswith(f"{URL} ")
    assert told in line
    assert line.count(f"status {status}") == 1


@pytest.mark.parametrize("what", LINES)
def test_every_status_has_a_line_with_the_servers_reason(what: str) -> None:
    for status in range(300, 600):
        line = LINES[what](status, "so {it} is")
        assert f"(status {status}, so {{it}} is)" in line
        assert "\n" not in line


def test_a_long_reason_is_cut() -> None:
    assert len(answers.page_line(URL, "mine", 403, "no " * 10_000)) < 700


@pytest.mark.parametrize(
    ("phrase", "body", "told"),
    [
        ("Forbidden", "", ""),
        ("Forbidden", "<!DOCTYPE html><html>403</html>", ""),
        ("You need AddPackage", "<html></html>", "You need AddPackage"),
        ("Forbidden", '{"message": "You need\\nAddPackage"}', "You need AddPackage"),
        ("Forbidden - You need AddPackage", '{"message": "You need AddPackage"}',
         "Forbidden - You need AddPackage"),
        ("", '{"error": "no"}', "no"),
        ("Other", '{"detail": "no"}', "Other: no"),
        ("", '{"errors": [{"status": 403, "message": "no"}]}', "no"),
        ("", '{"errors": []}', ""),
        ("", '{"errors": [7]}', ""),
        ("", '{"message": {"base": ["taken"]}}', ""),
        ("", "[1]", ""),
        ("", '"no"', "no"),
        ("", "no permission\n", "no permission"),
    ],
)  # fmt: skip
def test_the_servers_reason_is_in_its_phrase_or_its_body(phrase: str, body: str, told: str) -> None:
    assert answers.reason(403, phrase, body) == told


def test_a_status_that_no_standard_knows_keeps_its_phrase() -> None:
    assert answers.reason(499, "Gone Away", "") == "Gone Away"

"""A browser opens the page of the running container, runs its example and reads the prediction.

With SCREENSHOT=docs/docs-page.png in the environment, the documentation's picture is made anew.
"""

import json
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.browser import PATIENCE_S, chromium, found
from tests.environ import ROOT
from tests.mlflow_sealed.image.conftest import Container

OPERATION = "#operations-predictions-invocations"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Debian's Chromium, which tells what it asks the network for."""
    with chromium(tmp_path_factory.mktemp("browser"), width=1280, height=1810) as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: WebDriver, container: Container) -> WebDriver:
    """The page of the container, once the example was run on it."""
    browser.get(f"{container.url}/docs")
    operation = found(browser, OPERATION)
    if "is-open" not in str(operation.get_attribute("class")):
        found(browser, f"{OPERATION} .opblock-summary-control").click()
    found(browser, f"{OPERATION} .try-out__btn").click()
    found(browser, f"{OPERATION} .execute").click()
    found(browser, f"{OPERATION} .live-responses-table .response-col_description pre")
    return browser


def test_the_example_gets_the_prediction_that_the_server_gives(
    page: WebDriver, container: Container
) -> None:
    sent = found(page, f"{OPERATION} textarea.body-param__text").get_attribute("value")
    assert sent
    assert json.loads(sent)["inputs"]
    answers = f"{OPERATION} .live-responses-table .response"
    assert found(page, f"{answers} .response-col_status").text.startswith("200")
    shown = json.loads(found(page, f"{answers} pre").text)
    expected = container.post(sent)
    assert expected.status_code == requests.codes.ok
    assert shown == expected.json()
    assert 0 < shown["predictions"][0]["probability"] < 1


def test_nothing_is_asked_of_anybody_else_and_nothing_fails(
    page: WebDriver, container: Container
) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    own = {urlsplit(url).path for url in asked if url.startswith(f"{container.url}/")}
    assert own >= {"/docs", "/docs/swagger-ui-bundle.js", "/openapi.json", "/invocations"}
    browsers_own = ("chrome:", "chrome-untrusted:", "data:")  # its empty tab, for example
    assert [url for url in asked if not url.startswith((f"{container.url}/", *browsers_own))] == []
    failed = [
        message["params"]["response"]["url"]
        for message in messages
        if message["method"] == "Network.responseReceived"
        and message["params"]["response"]["status"] >= 400
    ]
    assert failed == []
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call] # no error, no refused source


def test_what_comes_from_elsewhere_would_be_refused(page: WebDriver, container: Container) -> None:
    script = """
        const done = arguments[1];
        fetch(arguments[0]).then(() => done("loaded"), () => done("refused"));
    """
    page.set_script_timeout(PATIENCE_S)
    other = container.url.replace("127.0.0.1", "localhost")
    assert page.execute_async_script(script, f"{container.url}/ping") == "loaded"
    assert page.execute_async_script(script, f"{other}/ping") == "refused"


def test_the_fields_are_described_with_their_ranges(page: WebDriver) -> None:
    text = page.find_element(By.TAG_NAME, "body").text
    for words in ("diabetes", "Predict", "/invocations", "/ready", "/metrics"):
        assert words in text


def test_a_picture_of_it_is_in_the_documentation(page: WebDriver) -> None:
    if path := os.environ.get("SCREENSHOT"):
        page.execute_script("window.scrollTo(0, 0)")
        assert page.save_screenshot(path)
    picture = ROOT / "docs" / "docs-page.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 500_000

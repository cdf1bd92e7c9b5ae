"""The page of the server behind a proxy that strips a prefix: everything on it stays below that."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.browser import chromium, found
from tests.mlflow_sealed.server.proxy import PREFIX, stripping_proxy
from tests.mlflow_sealed.server.running import Running

OPERATION = "#operations-predictions-invocations"
ANSWER = f"{OPERATION} .live-responses-table .response"


@pytest.fixture(scope="module")
def published(server: Running) -> Iterator[str]:
    """The server's address behind the proxy."""
    with stripping_proxy(server.url) as url:
        yield url


@pytest.fixture(scope="module")
def page(published: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """The page, once its example was run."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, width=1280, height=1810) as browser:
        browser.get(f"{published}/docs")
        operation = found(browser, OPERATION)
        if "is-open" not in str(operation.get_attribute("class")):
            found(browser, f"{OPERATION} .opblock-summary-control").click()
        found(browser, f"{OPERATION} .try-out__btn").click()
        found(browser, f"{OPERATION} .execute").click()
        found(browser, f"{ANSWER} pre")
        yield browser


def test_the_example_gets_the_servers_prediction(
    page: WebDriver, published: str, server: Running
) -> None:
    assert found(page, f"{OPERATION} .request-url pre").text == f"{published}/invocations"
    assert found(page, f"{ANSWER} .response-col_status").text.startswith("200")
    sent = found(page, f"{OPERATION} textarea.body-param__text").get_attribute("value")
    shown = json.loads(found(page, f"{ANSWER} pre").text)["predictions"]
    assert shown == server.predict(json.loads(str(sent)))


def test_nothing_is_asked_for_outside_the_prefix(page: WebDriver, published: str) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = {
        urlsplit(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    paths = {url.path for url in asked if url.netloc == urlsplit(published).netloc}
    assert {f"{PREFIX}/openapi.json", f"{PREFIX}/invocations"} <= paths
    assert [path for path in paths if not path.startswith(f"{PREFIX}/")] == []
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_units_are_shown_and_the_one_address_is_no_choice(page: WebDriver) -> None:
    text = page.find_element(By.TAG_NAME, "body").text
    assert "Extension Keywords" in text
    assert "Servers" not in text

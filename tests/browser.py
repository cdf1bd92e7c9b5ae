"""Debian's Chromium without a window, for the tests that look at a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as condition
from selenium.webdriver.support.wait import WebDriverWait

from tests import services

PATIENCE_S = 60


@contextmanager
def chromium(profile: Path, *, width: int, height: int) -> Iterator[WebDriver]:
    """Start a browser that tells what it asks the network for, in a window of that many pixels."""
    binary, driver = services.need("chromium", "chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",  # root has none
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield started
    finally:
        started.quit()


def found(browser: WebDriver, selector: str) -> WebElement:
    """Return an element once it can be clicked on."""
    wait = WebDriverWait(browser, PATIENCE_S)
    element: WebElement = wait.until(condition.element_to_be_clickable((By.CSS_SELECTOR, selector)))
    return element

"""The MLflow UI in a browser, on what a training has left: what a reviewer opens is there.

With SCREENSHOTS=docs in the environment, the documentation's pictures of it are made anew.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersion
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from mlflow_sealed import process
from mlflow_sealed.training.show.pictures import PICTURES
from tests.browser import PATIENCE_S, chromium
from tests.conftest import Trained
from tests.environ import ROOT
from training import __main__ as training_command
from training.options import DATA

WIDTH = 1400
WORSE = [
    *("--data", str(ROOT / DATA)),
    *("--trees", "5", "--folds", "2", "--repeats", "1"),
]
SHOTS = ("run", "picture", "card", "thresholds", "model", "version")

# What a visitor has chosen before: no assistant beside the page, and training instead of chats.
CHOICES = """
    localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
    localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
    localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');
"""

# A picture for the documentation names no folder of this machine.
HIDE_PATHS = """
    for (const one of document.querySelectorAll("span, div"))
      if (!one.children.length && one.textContent.startsWith("Path:")) one.textContent = "";
"""


@dataclass(frozen=True)
class Page:
    """The UI in a browser, which can be opened at any of its pages."""

    browser: WebDriver
    url: str
    champion: ModelVersion
    experiment: str

    @property
    def run(self) -> str:
        return f"/experiments/{self.experiment}/runs/{self.champion.run_id}"

    def open(self, path: str, *words: str) -> str:
        """Open a page and return its text once it has these words."""
        self.browser.set_window_size(WIDTH, 1100)
        self.browser.get("about:blank")  # another fragment alone would not load it anew
        self.browser.get(f"{self.url}/#{path}")
        return self.wait(*words)

    def artifact(self, *names: str) -> None:
        """Open the run's artifacts, and click on one in the tree."""
        self.open(f"{self.run}/artifacts", "card.html")
        for name in names:
            self.click(name)

    def click(self, words: str) -> None:
        self.wait(words)
        self.browser.find_element(By.XPATH, f"//*[text()='{words}']").click()

    def wait(self, *words: str) -> str:
        wait = WebDriverWait(self.browser, PATIENCE_S)
        wait.until(lambda _: all(word in self.text() for word in words), f"expected {words}")
        return self.text()

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    @contextmanager
    def framed(self) -> Iterator[None]:
        """Look into the frame that shows an artifact in HTML."""
        wait = WebDriverWait(self.browser, PATIENCE_S)
        wait.until(lambda browser: browser.find_elements(By.TAG_NAME, "iframe"))
        self.browser.switch_to.frame(self.browser.find_element(By.TAG_NAME, "iframe"))
        yield
        self.browser.switch_to.default_content()

    def shot(self, name: str, *, height: int) -> None:
        """Write a picture for the documentation, if somebody asks for them."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.browser.execute_script(HIDE_PATHS)
            self.browser.set_window_size(WIDTH, height)
            assert self.browser.save_screenshot(str(ROOT / folder / f"ui-{name}.png"))


@contextmanager
def opened(client: mlflow.MlflowClient, url: str, profile: Path) -> Iterator[Page]:
    """Open the UI that serves a client's database."""
    champion = client.get_model_version_by_alias("diabetes", "champion")
    experiment = client.get_run(str(champion.run_id)).info.experiment_id
    with chromium(profile, width=WIDTH, height=1100) as browser:
        browser.get(url)
        browser.execute_script(CHOICES)
        yield Page(browser, url, champion, experiment)


@pytest.fixture(scope="module")
def store(
    trained: Trained, one_picture: None, tmp_path_factory: pytest.TempPathFactory
) -> mlflow.MlflowClient:
    """A copy of what the training has left, and a challenger beside the champion."""
    del one_picture
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(trained.folder / "mlflow.db", folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(uri)
        assert training_command.main(WORSE) == 0
    return mlflow.MlflowClient(uri)


@pytest.fixture(scope="module")
def page(
    store: mlflow.MlflowClient, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The UI on the champion and the challenger, served as make ui does."""
    folder, port = tmp_path_factory.mktemp("ui"), process.free_port()
    command = ("mlflow", "ui", "--backend-store-uri", store.tracking_uri, "--workers", "1")
    where = ("--host", "127.0.0.1", "--port", str(port))
    environ = {**trained.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "ui.log"
    with (
        process.background((*command, *where), port=port, timeout_s=120, env=environ, log=log),
        opened(store, f"http://127.0.0.1:{port}", folder / "browser") as page,
    ):
        yield page


def test_the_run_begins_with_its_figures_beside_the_others(page: Page) -> None:
    text = page.open(page.run, "Description", "Cross-validated: AUC and Brier score")
    assert "On the same folds: logistic regression 0." in text
    page.click("Show more")
    page.wait("Show less", "Specificity", "Among the artifacts")
    page.shot("run", height=1000)


def test_the_pictures_are_shown_among_the_artifacts(page: Page) -> None:
    page.artifact("pictures", "roc.png")
    text = page.wait(*(f"{name}.png" for name in PICTURES))
    assert "pictures/roc.png" in text
    picture = WebDriverWait(page.browser, PATIENCE_S).until(
        lambda browser: browser.execute_script(
            "return [...document.images].find(one => one.naturalWidth > 1000)"
        )
    )
    assert picture.size["width"] > 600
    page.shot("picture", height=1040)


def test_the_model_card_is_shown(page: Page) -> None:
    page.artifact("card.html")
    with page.framed():
        text = page.wait("Model card: diabetes", "Where it comes from")
    assert "Not for clinical use" in text
    page.shot("card", height=1100)


def test_the_slider_tells_what_another_threshold_would_give(page: Page) -> None:
    page.artifact("thresholds.html")
    with page.framed():
        page.wait("sensitivity")
        counts = [_counts(page, percent) for percent in (1, 50, 99)]
        page.browser.execute_script(MOVE, 20)
    assert all(sum(one) == 768 for one in counts)
    flagged = [found + alarms for found, _, alarms, _ in counts]
    assert flagged == sorted(flagged, reverse=True)
    page.shot("thresholds", height=760)


MOVE = """
    const input = document.getElementById("threshold");
    input.value = arguments[0];
    input.dispatchEvent(new Event("input"));
"""


def _counts(page: Page, percent: int) -> list[int]:
    page.browser.execute_script(MOVE, percent)
    assert page.browser.find_element(By.ID, "at").text == f"{percent}%"
    cells = ("found", "missed", "alarms", "cleared")
    return [int(page.browser.find_element(By.ID, one).text) for one in cells]


def test_the_registered_model_says_what_it_is_and_which_version_is_the_champion(page: Page) -> None:
    text = page.open("/models/diabetes", "@ champion", "@ challenger")
    assert "Not for clinical use" in text
    page.shot("model", height=1000)


def test_a_version_has_its_card_as_description(page: Page) -> None:
    path = f"/models/diabetes/versions/{page.champion.version}"
    text = page.open(path, "Model card: diabetes", "@ champion")
    assert "women of Pima heritage" in text
    page.shot("version", height=1000)


@pytest.mark.parametrize("name", SHOTS)
def test_a_picture_of_it_is_in_the_documentation(name: str) -> None:
    picture = ROOT / "docs" / f"ui-{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 300_000
    assert picture.name in (ROOT / "docs" / "model.md").read_text(encoding="utf-8")

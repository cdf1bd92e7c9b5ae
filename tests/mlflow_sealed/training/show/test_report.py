"""The report: a finished run as one file, with what is for people and no record of the data."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import mlflow.artifacts
import pytest
from mlflow import MlflowClient

from mlflow_sealed.project import FILE
from mlflow_sealed.training import commands, log
from mlflow_sealed.training.register import versions as registry
from mlflow_sealed.training.show import artifacts, card, descriptions, pictures, report
from mlflow_sealed.training.show import threshold_slider as slider
from tests.conftest import PROJECT
from tests.environ import ROOT
from tests.measured import OPTIONS, measured


@dataclass(frozen=True)
class Store:
    """A tracking database with a champion, and the id of its run."""

    folder: Path
    champion: str


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, folder / "mlflow.db")
    shutil.copy(ROOT / FILE, folder / FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        champion = logged_run()
        MlflowClient().create_registered_model("diabetes")
        registered(champion)
        yield Store(folder, champion)


@pytest.fixture(autouse=True)
def here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store.folder}/mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{store.folder}/mlflow.db")


def registered(run_id: str) -> None:
    client = MlflowClient()
    made = client.create_model_version("diabetes", f"runs:/{run_id}/model", run_id)
    client.set_registered_model_alias("diabetes", registry.CHAMPION, made.version)


def logged_run() -> str:
    """What a training logs for people, and the held-out rows."""
    evaluation = measured()
    mlflow.set_experiment(PROJECT.names.experiment)
    with mlflow.start_run() as run:
        mlflow.log_params(OPTIONS.model_dump(mode="json"))
        package = PROJECT.names.package
        tags = {f"{package}.version": "1.2.3", f"{package}.installed_from": "index"}
        mlflow.set_tags({"data.sha256": evaluation.data.sha256, **tags})
        log.log_figures(evaluation)
        rows = evaluation.data.records.iloc[evaluation.split.held_out]
        mlflow.log_dict({"inputs": json.loads(rows.to_json(orient="records"))}, "held_out.json")
        origin = card.provenance(mlflow.get_run(run.info.run_id), PROJECT)
        log.log_shown(
            artifacts.render(evaluation, origin),
            tables={slider.TABLE: slider.table(evaluation)},
            note=descriptions.of_run(evaluation),
        )
    return str(run.info.run_id)


class Loads(HTMLParser):
    """What a page would load, and the words in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"src", "href", "srcset", "data", "action", "poster"}
        self.sources += [f"{tag} {value}" for name, value in attrs if name in names]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def records_in(text: str, run_id: str) -> int:
    """How many of the held-out rows a text has, their values in order, however separated."""
    rows = mlflow.artifacts.load_dict(f"runs:/{run_id}/held_out.json")["inputs"]
    values = (
        [rf"{re.escape(f'{row[name]:g}')}(?:\.0)?" for name in measured().subject.features]
        for row in rows
    )
    return sum(bool(re.search(r"\b" + r"\D{1,40}".join(one), text)) for one in values)


def test_without_an_id_the_report_is_the_champions(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["report"]) == 0
    assert capsys.readouterr().out.startswith(f"report.html: run {store.champion}, ")
    page = (store.folder / "report.html").read_text(encoding="utf-8")
    assert "registered as <code>models:/diabetes/1</code>" in page


def test_a_run_that_is_no_versions_can_be_named(store: Store, tmp_path: Path) -> None:
    client = MlflowClient()
    client.delete_model_version("diabetes", "1")
    assert commands.main(["report", store.champion, "--output", str(tmp_path / "named.html")]) == 0
    page = (tmp_path / "named.html").read_text(encoding="utf-8")
    assert store.champion in page
    assert "registered as" not in page
    registered(store.champion)


def test_the_report_shows_the_card_the_slider_the_pictures_and_every_metric(
    store: Store, tmp_path: Path
) -> None:
    page = report.report(PROJECT, report.find(PROJECT, store.champion))
    run = MlflowClient().get_run(store.champion)
    for name in [*run.data.metrics, *run.data.params]:
        assert f"<th>{name}</th>" in page
    assert "<h1>Model card: diabetes</h1>" in page
    assert 'id="threshold"' in page
    inlined = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page)
    assert [title for _, title in inlined] == [n.replace("_", " ") for n in pictures.PICTURES]
    for (content, _), name in zip(inlined, pictures.PICTURES, strict=True):
        uri = f"runs:/{store.champion}/pictures/{name}.png"
        artifact = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))
        assert base64.b64decode(content) == Path(artifact).read_bytes()


def test_the_report_needs_nothing_from_anywhere(store: Store) -> None:
    page = report.report(PROJECT, report.find(PROJECT, store.champion))
    assert {source.partition(",")[0] for source in Loads(page).sources} == {
        "img data:image/png;base64"
    }
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_report_holds_no_record_of_the_data(store: Store) -> None:
    page = report.report(PROJECT, report.find(PROJECT, store.champion))
    text = " ".join(Loads(page).words)
    assert records_in(text, store.champion) == 0
    held_out = mlflow.artifacts.load_dict(f"runs:/{store.champion}/held_out.json")
    leaked = json.dumps(held_out["inputs"][:5])
    assert records_in(text + leaked, store.champion) == 5


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_has_not_finished_is_an_error(
    status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = MlflowClient().create_run("0")
    if status != "RUNNING":
        MlflowClient().set_terminated(run.info.run_id, status)
    assert commands.main(["report", run.info.run_id]) == 1
    said = f"error: run {run.info.run_id} is {status}: expected one that has finished\n"
    assert capsys.readouterr().err == said


def test_an_unknown_run_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["report", "nonsense"]) == 1
    assert (
        capsys.readouterr().err == "error: there is no run 'nonsense': mlflow ui lists the runs\n"
    )


def test_a_run_without_a_card_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    run = MlflowClient().create_run("0")
    MlflowClient().set_terminated(run.info.run_id)
    assert commands.main(["report", run.info.run_id]) == 1
    said = f"error: run {run.info.run_id} has no card.md: it was made before trainings logged it\n"
    assert capsys.readouterr().err == said


def test_without_a_champion_the_error_says_so(
    tmp_path: Path, empty_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    assert commands.main(["report"]) == 1
    said = "error: no version of diabetes is the champion: train one, or name a run\n"
    assert capsys.readouterr().err == said


def test_a_file_that_cannot_be_written_is_one_line(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["report", store.champion, "--output", "/nowhere/report.html"]) == 1
    said = "error: /nowhere/report.html: No such file or directory\n"
    assert capsys.readouterr().err == said


def test_the_overview_of_a_run_begins_with_what_came_of_it(store: Store) -> None:
    note = MlflowClient().get_run(store.champion).data.tags["mlflow.note.content"]
    assert note.startswith("Cross-validated: AUC and Brier score 0.")
    assert "| AUC |" in note
    assert "`card.html`" in note


def test_the_table_of_thresholds_is_one_that_mlflow_shows(store: Store) -> None:
    run = MlflowClient().get_run(store.champion)
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "thresholds.json", "type": "table"}
    ]
    table = mlflow.load_table("thresholds.json", run_ids=[store.champion])
    assert list(table.columns)[:2] == ["threshold", "chosen"]


def test_descriptions_are_given_once_and_a_persons_stay(store: Store) -> None:
    client = MlflowClient()
    run = client.get_run(store.champion)
    experiment = run.info.experiment_id
    log.describe(run, PROJECT, model="a model", experiment="an experiment")
    assert client.get_registered_model("diabetes").description == "a model"
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "an experiment"
    client.update_registered_model("diabetes", description="ours")
    client.set_experiment_tag(experiment, "mlflow.note.content", "ours too")
    log.describe(run, PROJECT, model="a model", experiment="an experiment")
    assert client.get_registered_model("diabetes").description == "ours"
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "ours too"

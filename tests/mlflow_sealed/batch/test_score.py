"""What an executor does with a part, without Spark around it: the pyfunc's own answers."""

import os
import shutil
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc.model import PythonModelContext

from mlflow_model.model import DiabetesModel
from mlflow_sealed.batch import chunks, plan, score, storage, survey
from mlflow_sealed.batch.model import RegisteredModel
from mlflow_sealed.batch.plan import InputError, Plan
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.batch.tally import Tally
from mypreprocessing import FEATURES, Patient
from tests.mlflow_sealed.batch.conftest import planned
from tests.mlflow_sealed.batch.reading import Reading
from tests.records import record


@pytest.fixture
def output(tmp_path: Path) -> Place:
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        (tmp_path / "output" / folder).mkdir(parents=True)
    return storage.locate(str(tmp_path / "output"))


@pytest.fixture(scope="module")
def pyfunc(champion: RegisteredModel) -> DiabetesModel:
    loaded = mlflow.pyfunc.load_model(str(champion.folder))
    model: DiabetesModel = loaded.unwrap_python_model()
    return model


def done(job: Plan, champion: RegisteredModel, output: Place) -> Tally:
    scorer = score.scorer(str(champion.folder), job.model_version)
    parts = range(len(job.parts))
    return sum((score.score_part(job, part, output, scorer) for part in parts), Tally())


def rows(output: Place, kind: str) -> list[dict[str, Any]]:
    files = storage.files(output.at(kind), (".parquet",))
    return [row for file in files for row in pq.read_table(file.path).to_pylist()]


def answers(pyfunc: DiabetesModel, patients: list[dict[str, Any]]) -> list[tuple[int, float]]:
    checked = [Patient.model_validate({name: row[name] for name in FEATURES}) for row in patients]
    return [
        (each["pred"], each["probability"])
        for each in pyfunc.predict(PythonModelContext({}, {}), checked)
    ]


def assert_answered(pyfunc: DiabetesModel, scored: list[dict[str, Any]]) -> None:
    """Each row has the answer that the pyfunc itself gives: the same to the bit."""
    assert [(row["pred"], row["probability"]) for row in scored] == answers(pyfunc, scored)


def test_every_row_is_scored_or_refused_once(
    patients: Path, champion: RegisteredModel, output: Place, pyfunc: DiabetesModel
) -> None:
    tally = done(planned(patients, champion, parts=4), champion, output)
    scored, refused = rows(output, plan.SCORED), rows(output, plan.REFUSED)
    assert tally.scored == len(scored) == 23_760
    assert tally.refused == len({(row["file"], row["row"]) for row in refused}) == 240
    given = pq.read_table(patients).to_pylist()
    ids = [row["id"] for row in scored]
    places = {(row["file"], row["row"]) for row in refused}
    refused_ids = {
        pq.read_table(patients / file, columns=["id"])["id"][row].as_py() for file, row in places
    }
    assert len(set(ids)) == len(ids)
    assert set(ids) | refused_ids == {row["id"] for row in given}
    assert set(ids).isdisjoint(refused_ids)
    assert {row["model_version"] for row in scored} == {"1"}
    assert any(row["insulin"] is None for row in scored)
    assert_answered(pyfunc, scored)
    assert [{name: row[name] for name in given[0]} for row in scored] == [
        row for row in given if row["id"] not in refused_ids
    ]


def test_a_part_that_is_done_twice_has_the_same_files(
    patients: Path, champion: RegisteredModel, output: Place
) -> None:
    job = planned(patients, champion, parts=2)
    first = done(job, champion, output)
    folder = Path(output.path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(before) == 6
    assert done(job, champion, output) == first
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_csv_and_parquet_get_the_same_answers(
    champion: RegisteredModel, output: Place, tmp_path: Path, pyfunc: DiabetesModel
) -> None:
    table = [record(id="a"), record(id="", insulin=None), record(id="c", glucose=0)]
    pd.DataFrame(table).to_csv(tmp_path / "patients.csv", index=False)
    assert done(planned(tmp_path / "patients.csv", champion), champion, output).scored == 3
    scored = rows(output, plan.SCORED)
    assert_answered(pyfunc, scored)
    assert [row["id"] for row in scored] == ["a", None, "c"]
    kinds = pq.read_schema(f"{output.path}/{plan.SCORED}/part-00000.parquet")
    assert kinds.field("age").type == pa.int64()
    assert kinds.field("bmi").type == pa.float64()
    assert scored[1] | {"pred": 0, "probability": 0, "model_version": ""} == record(
        insulin=None, id=None, pred=0, probability=0, model_version=""
    )


def test_refused_lines_of_csv_have_their_number_and_every_reason(
    champion: RegisteredModel, output: Place, tmp_path: Path
) -> None:
    lines = [
        ",".join(FEATURES),
        "0,121,66,30,,34.3,0.203,33",
        "",
        "31337,121,66,30,,34.3,,33",
        '"0","121","66","30","","34.3","0.203","33"',
        "31337,121",
        "0,121,66,30,,34.3,0.203,33.5",
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    found = done(planned(tmp_path / "a.csv", champion), champion, output)
    assert rows(output, plan.REFUSED) == [
        {"file": "a.csv", "row": row, "field": field, "rule": rule}
        for row, field, rule in (
            (4, "pregnancies", "Input should be less than or equal to 25"),
            (4, "diabetes_pedigree", "Input should be a valid number, not null"),
            (6, None, "expected 8 cells, got 2"),
            (7, "age", "Input should be a valid integer, got a number with a fractional part"),
        )
    ]
    assert (found.scored, found.refused) == (2, 3)
    assert found.reasons["expected 8 cells, got 2"] == 1
    assert found.reasons["pregnancies: Input should be less than or equal to 25"] == 1
    assert "31337" not in found.model_dump_json()


def test_a_part_without_one_good_row_has_files_without_rows(
    champion: RegisteredModel, output: Place, tmp_path: Path
) -> None:
    pq.write_table(pa.Table.from_pylist([record(age=7)]), tmp_path / "a.parquet")
    assert done(planned(tmp_path / "a.parquet", champion), champion, output).refused == 1
    assert rows(output, plan.SCORED) == []
    assert [row["field"] for row in rows(output, plan.REFUSED)] == ["age"]


def test_rows_are_numbered_across_row_groups_and_chunks(
    champion: RegisteredModel, output: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 4)
    monkeypatch.setattr(survey, "ROWS", 3)
    table = [record(age=7 if number in {3, 11, 17} else 30) for number in range(20)]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet", row_group_size=9)
    done(planned(tmp_path / "a.parquet", champion, parts=2), champion, output)
    assert [row["row"] for row in rows(output, plan.REFUSED)] == [3, 11, 17]


BROKEN = {
    "quotes": (b'0,"12"1,66,30,,34.3,0.203,33', "its quotes cannot be read"),
    "bytes": (b"0,121,66,30,,34.3,0.203,\xff", "is not UTF-8"),
    "an open quote": (b'0,"121,66,30,,34.3,0.203,33', "a quote is opened and not closed"),
}


@pytest.mark.parametrize(("line", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_refused_with_its_number_and_the_others_are_scored(
    line: bytes, why: str, champion: RegisteredModel, output: Place, tmp_path: Path
) -> None:
    good = b"0,121,66,30,,34.3,0.203,33"
    lines = [",".join(FEATURES).encode(), good, line, good, b""]
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    found = done(planned(tmp_path / "a.csv", champion), champion, output)
    assert (found.scored, found.refused) == (2, 1)
    assert rows(output, plan.REFUSED) == [{"file": "a.csv", "row": 3, "field": None, "rule": why}]


def test_parquet_that_was_cut_off_is_an_error(
    patients: Path, champion: RegisteredModel, output: Place, tmp_path: Path
) -> None:
    content = (patients / "part-00000.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content)
    job = planned(tmp_path / "a.parquet", champion)
    changed = content[: len(content) // 2] + bytes(len(content) - len(content) // 2)
    times = (tmp_path / "a.parquet").stat()
    (tmp_path / "a.parquet").write_bytes(changed)
    os.utime(tmp_path / "a.parquet", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match="^a.parquet: is not Parquet that can be read$"):
        done(job, champion, output)
    assert not [path for path in Path(output.path).rglob("*") if path.is_file()]


def test_an_input_that_has_changed_is_an_error_before_it_is_read_and_after(
    patients: Path,
    champion: RegisteredModel,
    output: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Path(shutil.copy(patients / "part-00000.parquet", tmp_path / "a.parquet"))
    job = planned(source, champion)
    scorer = score.scorer(str(champion.folder), job.model_version)

    def changing(*given: Any) -> Any:
        source.touch()
        return decide(*given)

    decide = score.score_chunk
    monkeypatch.setattr(score, "score_chunk", changing)
    for _ in range(2):
        with pytest.raises(InputError, match="^a.parquet: has changed since the job began"):
            score.score_part(job, 0, output, scorer)
    assert not [path for path in Path(output.path).rglob("*") if path.is_file()]


def test_a_thousand_rows_do_not_depend_on_how_they_are_divided(
    patients: Path, champion: RegisteredModel, output: Place, tmp_path: Path
) -> None:
    done(planned(patients, champion, parts=1), champion, output)
    whole = pd.DataFrame(rows(output, plan.SCORED)).set_index("id").sort_index()
    other = tmp_path / "other"
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        (other / folder).mkdir(parents=True)
    place = storage.locate(str(other))
    done(planned(patients, champion, parts=3), champion, place)
    parts = pd.DataFrame(rows(place, plan.SCORED)).set_index("id").sort_index()
    assert len(storage.files(place.at(plan.SCORED), (".parquet",))) == 3
    np.testing.assert_array_equal(whole["probability"], parts["probability"])


class Typed:
    def predict(self, model_input: list[Reading]) -> list[int]:
        return [each.months for each in model_input]


class Numbers:
    def predict(self, model_input: list[int]) -> list[int]:
        return model_input


class Untyped:
    def predict(self, model_input):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        return model_input


def test_a_models_rows_have_the_type_that_predict_takes() -> None:
    assert score.row_type(Typed()) is Reading


def test_a_registered_model_tells_its_features(champion: RegisteredModel) -> None:
    assert champion.features == FEATURES


@pytest.mark.parametrize("kind", [Numbers, Untyped])
def test_a_model_without_a_record_is_an_error(kind: type) -> None:
    with pytest.raises(TypeError, match="expected list.* of a pydantic model"):
        score.row_type(kind())

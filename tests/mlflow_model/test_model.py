"""The pyfunc: what it answers, that all features reach it, and when it refuses to load."""

import json
import math
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc.model import PythonModelContext
from pydantic import ValidationError

from mlflow_model import model, save
from mlflow_model.model import DiabetesModel, FeatureMismatchError, Prediction
from mlflow_sealed_pyfunc.booster import Booster, FeatureLayoutError
from mlflow_sealed_pyfunc.package import PreprocessingMismatchError
from mypreprocessing import FEATURES, Patient, preprocess
from tests.environ import ROOT
from tests.package import VERSION
from tests.records import record
from training.dataset import read
from training.fit import fit, probabilities
from training.options import DATA, Options


@pytest.fixture(scope="module")
def data() -> Any:
    return read(ROOT / DATA)


@pytest.fixture(scope="module")
def classifier(data: Any) -> Any:
    return fit(data.records, data.labels, Options())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, classifier: Any) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    save.save_model(path, booster=classifier.get_booster(), threshold=0.4, model_name="diabetes")
    return path


def load(path: Path) -> DiabetesModel:
    """The model of a folder, without MLflow around it."""
    artifacts = {"booster": "artifacts/booster.ubj", "training": "artifacts/training.json"}
    loaded = DiabetesModel()
    loaded.load_context(
        PythonModelContext(
            {key: str(path / value) for key, value in artifacts.items()}, {"name": "diabetes"}
        )
    )
    return loaded


def predict(loaded: DiabetesModel, *rows: dict[str, Any]) -> list[Prediction]:
    return loaded.predict(PythonModelContext({}, {}), [Patient.model_validate(row) for row in rows])


def test_the_answer_is_the_training_processs_in_request_order(
    saved: Path, classifier: Any, data: Any
) -> None:
    rows = [row.model_dump() for row in _patients(data.records.head(50))]
    predictions = predict(load(saved), *rows)
    expected = probabilities(classifier, data.records.head(50))
    np.testing.assert_allclose([p["probability"] for p in predictions], expected, atol=1e-7)
    assert {p["model"] for p in predictions} == {"diabetes"}


def test_pred_is_1_from_the_threshold_on(saved: Path, data: Any) -> None:
    predictions = predict(load(saved), *(row.model_dump() for row in _patients(data.records)))
    assert {p["pred"] for p in predictions} == {0, 1}
    assert all(p["pred"] == (p["probability"] >= 0.4) for p in predictions)


def test_no_patients_give_no_predictions(saved: Path) -> None:
    assert predict(load(saved)) == []


@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_reaches_the_model(saved: Path, data: Any, name: str) -> None:
    """One feature swapped for another patient's changes the answer of somebody."""
    loaded = load(saved)
    rows = [row.model_dump() for row in _patients(data.records.head(100))]
    swapped = [
        {**row, name: other[name]} for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    assert predict(loaded, *swapped) != predict(loaded, *rows)


def test_a_feature_that_is_dropped_on_the_way_would_be_noticed(
    saved: Path, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: the article's slip, one feature passed in another's place."""

    def slip(patients: list[Patient]) -> Any:
        features = preprocess(patients)
        features[:, FEATURES.index("skin_thickness")] = features[:, FEATURES.index("bmi")]
        return features

    monkeypatch.setattr("mlflow_model.model.preprocess", slip)
    with pytest.raises(AssertionError):
        test_every_feature_reaches_the_model(saved, data, "skin_thickness")


def test_one_request_is_one_call_of_the_booster_with_one_thread(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(saved)
    calls: list[tuple[int, ...]] = []
    trees = loaded._booster  # noqa: SLF001 # what is counted
    right = trees.probabilities

    def counted(features: Any) -> Any:
        calls.append(features.shape)
        return right(features)

    monkeypatch.setattr(trees, "probability_list", counted)
    predict(loaded, record())
    predict(loaded, *[record()] * 1000)
    assert calls == [(1, 8), (1000, 8)]
    config = json.loads(trees.booster.save_config())
    assert config["learner"]["generic_param"]["nthread"] == "1"


@pytest.mark.parametrize("rows", [1, 2, 1000, 5000])
def test_the_booster_answer_what_the_booster_does_to_the_bit(
    data: Any, classifier: Any, rows: int
) -> None:
    booster = classifier.get_booster()
    features = preprocess(data.records.sample(rows, replace=True, random_state=0))
    assert np.isnan(features).any() or rows < 1000
    found, expected = Booster(booster), booster.inplace_predict(features)
    np.testing.assert_array_equal(found.probabilities(features), expected)
    assert found.probability_list(features) == expected.tolist()


def test_a_second_thread_predicts_half_of_many_rows_if_there_is_a_processor_for_it(
    data: Any, classifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = classifier.get_booster()
    features = preprocess(data.records.sample(4001, replace=True, random_state=0))
    answers, threads = [], []
    for processors in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, found=processors: found)
        before = set(threading.enumerate())
        trees = Booster(booster)
        assert (
            trees.probability_list(features[:3999]) == trees.probabilities(features).tolist()[:3999]
        )
        assert set(threading.enumerate()) <= before  # too few rows
        answers.append(trees.probability_list(features))
        threads.append(len(set(threading.enumerate()) - before))
    assert answers[0] == answers[1] == booster.inplace_predict(features).tolist()
    assert threads == [0, 1]


def test_threads_predict_at_the_same_time(data: Any, classifier: Any) -> None:
    trees = Booster(classifier.get_booster())
    features = [preprocess(data.records.iloc[start : start + 100]) for start in range(0, 700, 100)]
    expected = [trees.probabilities(each).tolist() for each in features]
    with ThreadPoolExecutor(max_workers=7) as pool:
        for _ in range(50):
            found = pool.map(trees.probabilities, features)
            assert [each.tolist() for each in found] == expected
            assert list(pool.map(trees.probability_list, features)) == expected


def test_threads_explain_while_others_predict(data: Any, classifier: Any) -> None:
    trees = Booster(classifier.get_booster())
    features = [preprocess(data.records.iloc[start : start + 50]) for start in range(0, 200, 50)]
    tasks: list[tuple[Callable[[Any], Any], Any]] = [
        (task, each) for each in features for task in (trees.contributions, trees.probabilities)
    ]

    def done(task: tuple[Callable[[Any], Any], Any]) -> Any:
        return np.asarray(task[0](task[1])).tolist()

    expected = [done(task) for task in tasks]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for _ in range(20):
            assert list(pool.map(done, tasks)) == expected


ASK: Final = pytest.mark.parametrize("ask", [Booster.probabilities, Booster.contributions])
ROWS: Final = 5
NEVER_SHOWN: Final = 187.625

LAYOUTS: Final[dict[str, tuple[Callable[[Any], Any], str]]] = {
    "float64": (lambda it: it.astype(np.float64), "float64 in C order, shape (5, 8)"),
    "float16": (lambda it: it.astype(np.float16), "float16 in C order, shape (5, 8)"),
    "whole numbers": (lambda it: it.astype(np.int32), "int32 in C order, shape (5, 8)"),
    "objects": (lambda it: it.astype(object), "object in C order, shape (5, 8)"),
    "byte-swapped": (lambda it: it.astype(">f4"), ">f4 in C order, shape (5, 8)"),
    "Fortran order": (np.asfortranarray, "float32 in another order, shape (5, 8)"),
    "every other row": (lambda it: it.repeat(2, axis=0)[::2], "float32 in another order"),
    "columns the other way round": (lambda it: it[:, ::-1], "float32 in another order"),
    "some of the columns": (lambda it: it[:, :7], "another order, shape (5, 7)"),
    "a column too few": (lambda it: it[:, :7].copy(), "C order, shape (5, 7)"),
    "a column too many": (lambda it: np.hstack([it, it[:, :1]]), "C order, shape (5, 9)"),
    "flat": (np.ravel, "C order, shape (40,)"),
    "one row": (lambda it: it[0], "C order, shape (8,)"),
    "a further dimension": (lambda it: it[None], "C order, shape (1, 5, 8)"),
    "no dimension": (lambda it: it.sum(), "numpy.float32"),
    "masked": (lambda it: np.ma.masked_greater(it, 100), "numpy.ma.MaskedArray"),
    "a subclass": (lambda it: it.view(type("Units", (np.ndarray,), {})), ".Units"),
    "lists": (lambda it: it.tolist(), "builtins.list"),
    "a DataFrame": (pd.DataFrame, "pandas.DataFrame"),
    "nothing": (lambda _: None, "builtins.NoneType"),
}


def some_features() -> Any:
    return np.full((ROWS, len(FEATURES)), NEVER_SHOWN, dtype=np.float32)


@ASK
@pytest.mark.parametrize(("change", "said"), LAYOUTS.values(), ids=LAYOUTS)
def test_features_that_xgboost_would_read_as_others_are_refused(
    classifier: Any, ask: Callable[[Booster, Any], Any], change: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(FeatureLayoutError) as refused:
        ask(Booster(classifier.get_booster()), change(some_features()))
    assert said in str(refused.value)
    assert "expected an array of float32 in C order, shape (n, 8): mend" in str(refused.value)
    assert "187" not in str(refused.value)


@ASK
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda it: np.asfortranarray(it[:1]), id="one row, Fortran order"),
        pytest.param(lambda it: it[1:3], id="some of the rows"),
        pytest.param(lambda it: it[:0], id="no row"),
        pytest.param(lambda it: np.frombuffer(it.tobytes(), np.float32).reshape(-1, 8), id="bytes"),
    ],
)
def test_other_ways_to_have_the_same_features_are_taken(
    classifier: Any, ask: Callable[[Booster, Any], Any], change: Callable[[Any], Any]
) -> None:
    trees, given = Booster(classifier.get_booster()), change(some_features())
    expected = ask(trees, np.array(given, dtype=np.float32, order="C"))
    assert np.array_equal(ask(trees, given), expected)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda it: it.astype(np.float64)])
def test_a_preprocess_that_returns_something_else_is_refused_when_the_model_is_loaded(
    saved: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]
) -> None:
    """In Fortran order too, which one row does not show."""
    monkeypatch.setattr("mlflow_model.model.preprocess", lambda rows: change(preprocess(rows)))
    with pytest.raises(FeatureLayoutError, match="from preprocess, expected .* mend"):
        load(saved)


@ASK
def test_a_booster_that_refuses_features_says_so(
    classifier: Any, ask: Callable[[Booster, Any], Any]
) -> None:
    """XGBoost reads no number that lies across the others' bounds."""
    displaced = np.frombuffer(bytes(4 * len(FEATURES) + 1), np.float32, offset=1).reshape(1, -1)
    with pytest.raises(xgboost.core.XGBoostError, match="misalign|Check failed"):
        ask(Booster(classifier.get_booster()), displaced)


def explain(loaded: DiabetesModel, records: pd.DataFrame) -> list[Prediction]:
    return loaded.predict(PythonModelContext({}, {}), _patients(records), {"explain": True})


def test_contributions_and_base_value_add_up_to_the_log_odds_of_every_patient(
    saved: Path, classifier: Any, data: Any
) -> None:
    features = preprocess(data.records)
    assert np.isnan(features).any(axis=1).sum() == 376  # what was not measured counts, too
    margin = classifier.get_booster().inplace_predict(features, predict_type="margin")
    explained = explain(load(saved), data.records)
    sums = [sum(each["contributions"].values()) + each["base_value"] for each in explained]
    np.testing.assert_allclose(sums, margin, rtol=0, atol=1e-5)
    chances = [each["probability"] for each in explained]
    of_probability = [math.log(chance / (1 - chance)) for chance in chances]
    np.testing.assert_allclose(sums, of_probability, rtol=0, atol=1e-5)
    assert len({each["base_value"] for each in explained}) == 1


def test_contributions_are_xgboosts_own_each_under_its_features_name(
    saved: Path, classifier: Any, data: Any
) -> None:
    matrix = xgboost.DMatrix(preprocess(data.records), feature_names=list(FEATURES))
    expected = classifier.get_booster().predict(matrix, pred_contribs=True)
    explained = explain(load(saved), data.records)
    found = [[*each["contributions"].values(), each["base_value"]] for each in explained]
    assert found == expected.tolist()
    assert {tuple(each["contributions"]) for each in explained} == {FEATURES}
    assert all(len({row[column] for row in found}) > 10 for column in range(len(FEATURES)))


def test_an_explained_prediction_is_the_prediction_and_its_reasons(saved: Path, data: Any) -> None:
    loaded, rows = load(saved), [row.model_dump() for row in _patients(data.records)]
    plain = predict(loaded, *rows)
    assert {tuple(each) for each in plain} == {("model", "pred", "probability")}
    for known, explained in zip(plain, explain(loaded, data.records), strict=True):
        assert list(explained) == [*known, "base_value", "contributions"]
        assert explained.items() >= known.items()


@pytest.mark.parametrize("params", [None, {}, {"explain": False}])
def test_nothing_is_explained_unasked(
    saved: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any] | None
) -> None:
    loaded = load(saved)
    monkeypatch.delattr(Booster, "contributions")  # it would cost its time
    [found] = loaded.predict(PythonModelContext({}, {}), [Patient.model_validate(record())], params)
    assert list(found) == ["model", "pred", "probability"]


def test_no_patients_give_no_explanations(saved: Path, data: Any) -> None:
    assert explain(load(saved), data.records.head(0)) == []


def test_mlflow_loads_it_and_takes_a_data_frame_too(saved: Path, data: Any) -> None:
    loaded = mlflow.pyfunc.load_model(str(saved))
    rows = [row.model_dump() for row in _patients(data.records.head(5))]
    from_rows = loaded.predict(rows)
    frame = pd.DataFrame(rows).astype({"pregnancies": "int64", "age": "int64"})
    assert loaded.predict(frame) == from_rows


@pytest.mark.parametrize("given", ["rows", "frame"])
def test_mlflow_hands_the_parameter_on(saved: Path, data: Any, given: str) -> None:
    loaded = mlflow.pyfunc.load_model(str(saved))
    rows = [row.model_dump() for row in _patients(data.records.head(5))]
    frame = pd.DataFrame(rows).astype({"pregnancies": "int64", "age": "int64"})
    explained = loaded.predict({"rows": rows, "frame": frame}[given], params={"explain": True})
    assert explained == explain(load(saved), data.records.head(5))
    with pytest.raises(MlflowException, match="Invalid parameters found: .*explain.*boolean"):
        loaded.predict(rows, params={"explain": "yes"})


def test_the_signature_has_the_parameter_and_the_plain_prediction(saved: Path) -> None:
    """Without a type for the answer, Spark could not have one either."""
    signature = Model.load(str(saved)).signature
    assert signature.params.to_dict() == [
        {"name": "explain", "default": False, "shape": None, "type": "boolean"}
    ]
    [output] = signature.outputs.to_dict()
    assert set(output["properties"]) == Prediction.__required_keys__


def test_nothing_in_the_model_is_a_pickle(saved: Path) -> None:
    for path in saved.rglob("*"):
        assert path.suffix not in {".pkl", ".pickle", ".joblib"}
        assert path.is_dir() or not path.read_bytes().startswith(b"\x80\x04")
    assert sorted(path.name for path in (saved / "artifacts").iterdir()) == [
        "booster.ubj",
        "training.json",
    ]


def test_the_environment_of_the_model_is_the_lock_and_nothing_else(saved: Path) -> None:
    lock = (ROOT / "mlflow_model" / "requirements.txt").read_text(encoding="utf-8")
    assert (saved / "requirements.txt").read_text(encoding="utf-8") == lock
    assert f"mypreprocessing=={VERSION} \\\n    --hash=sha256:" in lock
    for name in ("conda.yaml", "python_env.yaml"):
        text = (saved / name).read_text(encoding="utf-8")
        assert "-r requirements.txt" in text
        assert not {"mlflow", "setuptools", "wheel"} & set(text.replace("=", " ").split())


def test_the_input_example_is_the_example_request(saved: Path) -> None:
    example = json.loads((saved / "serving_input_example.json").read_text(encoding="utf-8"))
    assert example == {"inputs": [record()], "params": {"explain": False}}


@pytest.fixture
def tampered(tmp_path: Path, saved: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "tampered")


def change_record(path: Path, **changes: Any) -> None:
    file = path / "artifacts" / "training.json"
    training = json.loads(file.read_text(encoding="utf-8"))
    training["package"].update(changes)
    file.write_text(json.dumps(training), encoding="utf-8")


def test_another_version_of_the_preprocessing_is_refused(tampered: Path) -> None:
    change_record(tampered, version="1.0.0")
    with pytest.raises(
        PreprocessingMismatchError,
        match=f"trained with mypreprocessing 1.0.0, installed is {VERSION}; files that differ: ",
    ):
        load(tampered)


def test_other_bytes_under_the_same_version_are_refused(tampered: Path) -> None:
    files = {**model.trained_with()["files"], "features.py": "0" * 64, "gone.py": "0" * 64}
    change_record(tampered, files=files)
    with pytest.raises(
        PreprocessingMismatchError,
        match=r"files that differ: \['features.py', 'gone.py'\]. Install",
    ):
        load(tampered)


def test_the_refusal_reaches_whoever_loads_the_model_through_mlflow(tampered: Path) -> None:
    change_record(tampered, version="1.0.0")
    with pytest.raises((RuntimeError, MlflowException), match="mypreprocessing 1.0.0, installed"):
        mlflow.pyfunc.load_model(str(tampered))


@pytest.mark.parametrize("text", ['{"threshold": 0.5}', "not JSON"])
def test_a_training_record_that_is_none_is_refused(tampered: Path, text: str) -> None:
    (tampered / "artifacts" / "training.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError, match="TrainingRecord"):
        load(tampered)


def test_a_booster_of_other_columns_is_refused(tampered: Path, data: Any, classifier: Any) -> None:
    del classifier
    swapped = list(FEATURES)
    swapped[0], swapped[1] = swapped[1], swapped[0]
    booster = fit(data.records, data.labels, Options(trees=1)).get_booster()
    booster.feature_names = swapped
    booster.save_model(tampered / "artifacts" / "booster.ubj")
    with pytest.raises(FeatureMismatchError, match=r"columns \['glucose', 'pregnancies'"):
        load(tampered)


def test_the_installed_package_is_described_by_the_bytes_that_run() -> None:
    package = model.trained_with()
    assert package["version"] == VERSION
    assert sorted(package["files"]) == ["__init__.py", "features.py", "patient.py", "py.typed"]


def _patients(records: pd.DataFrame) -> list[Patient]:
    return [
        Patient.model_validate(
            {**row, "pregnancies": int(row["pregnancies"]), "age": int(row["age"])}
        )
        for row in records.to_dict(orient="records")
    ]

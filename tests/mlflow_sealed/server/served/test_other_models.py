"""The server knows nothing of diabetes: it takes its types from whatever model it gets."""

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pytest

from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.protocol.number_spelling import EXPECTED
from mlflow_sealed.server.run import supervisor
from tests.environ import ROOT, clean_environ
from tests.mlflow_sealed.server.running import CSV, PARQUET, Running, predictions, serving

MODELS: Final = Path(__file__).parent / "models"
PARAMS: Final = {"factor": 2.0, "prefix": "q"}


def ticket(**changes: Any) -> dict[str, Any]:
    sender = {"name": "Ada", "age": 36}
    return {"subject": "It hums", "kind": "fault", "sender": sender} | changes


def saved(path: Path, name: str, example: Any) -> Path:
    options = {"input_example": example} if example is not None else {}
    with warnings.catch_warnings():  # MLflow's, about types that it does not know
        warnings.simplefilter("ignore")
        warnings.showwarning = lambda *_, **__: None
        mlflow.pyfunc.save_model(
            path, python_model=str(MODELS / f"{name}.py"), pip_requirements=["mlflow"], **options
        )
    manifest = json.dumps(manifests.digests(path))
    (path / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def triage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("triage")
    model = saved(folder / "model", "triage", ([ticket()], PARAMS))
    with serving(model, folder) as running:
        yield running


def test_another_models_rows_are_answered(triage: Running) -> None:
    rows = [ticket(), ticket(sender={"name": "Bo"}, weight=2.5, tags=["a"], kind="question")]
    assert triage.predict({"inputs": rows}) == [
        {"queue": "q-fault", "score": 2.0, "note": None},
        {"queue": "q-question", "score": 6.0, "note": "Bo"},
    ]


def test_numbers_within_objects_may_be_text(triage: Running) -> None:
    """Also those whose bounds no pattern of the document can tell."""
    sender = {"name": "Bo", "age": "41"}
    assert triage.predict({"inputs": [ticket(sender=sender)]})[0]["note"] is None
    assert triage.predict({"inputs": [ticket(weight="2.5")]}) == triage.predict(
        {"inputs": [ticket(weight=2.5)]}
    )
    for weight, said in (("-1", "must be more than -1"), ("x", f"must be a number ({EXPECTED})")):
        answer = triage.post(json.dumps({"inputs": [ticket(weight=weight)]}))
        assert answer.json()["message"] == f"inputs.0.weight: {said}"


def test_parameters_reach_the_model(triage: Running) -> None:
    content = {"inputs": [ticket()], "params": {"factor": "3", "prefix": "x"}}
    [found] = triage.predict(content)
    assert (found["queue"], found["score"]) == ("x-fault", 3.0)
    [found] = triage.predict({**content, "params": {"factor": 4}})
    assert (found["queue"], found["score"]) == ("q-fault", 4.0)


def test_a_table_of_flat_fields_is_read(triage: Running) -> None:
    names = ["subject", "kind", "sender", "tags"]
    data = [["It hums", "fault", {"name": "Ada"}, ["a", "b"]]]
    content = {"dataframe_split": {"columns": names, "data": data}}
    assert triage.predict(content)[0]["score"] == 4.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"inputs": [ticket(kind="Joke")]}, "inputs.0.kind: must match ^[a-z]+$"),
        ({"inputs": [ticket(subject="")]}, "inputs.0.subject: must have at least 1 characters"),
        ({"inputs": [ticket(tags=["a"] * 4)]}, "inputs.0.tags: must have at most 3 items"),
        ({"inputs": [ticket(weight=-1)]}, "inputs.0.weight: must be more than -1"),
        ({"inputs": [ticket(sender={})]}, "inputs.0.sender.name: is missing"),
        (
            {"inputs": [ticket(sender={"name": "A", "age": 151})]},
            "inputs.0.sender.age: must be at most 150",
        ),
        ({"inputs": [ticket(sender="Ada")]}, "inputs.0.sender: must be an object"),
        ({"inputs": [ticket(tags=[1])]}, "inputs.0.tags.0: must be text"),
        (
            {"inputs": [ticket()], "params": {"factor": "much"}},
            f"params.factor: must be a number ({EXPECTED})",
        ),
        ({"inputs": [ticket()], "params": {"other": 1}}, "params: has a field that is not known"),
        ({"inputs": [ticket(subject="AAA")]}, "inputs.0.subject: is not valid (value_error)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_its_rules_are_told(triage: Running, content: Any, said: str) -> None:
    answer = triage.post(json.dumps(content))
    assert answer.status_code == 400
    assert answer.json()["message"] == said


def test_its_document_has_its_types(triage: Running) -> None:
    schemas = triage.get("/openapi.json").json()["components"]["schemas"]
    assert {"Ticket", "Sender", "Triage"} <= set(schemas)
    assert schemas["Ticket"]["required"] == ["subject", "kind", "sender"]
    assert schemas["Triage"]["properties"]["note"]["anyOf"][1] == {"type": "null"}
    params = schemas["InvocationRequest"]["oneOf"][0]["properties"]["params"]
    assert set(params["properties"]) == set(PARAMS)
    assert "glucose" not in json.dumps(schemas)


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("choices")
    model = saved(folder / "model", "choices", [{"kind": "fault", "is-urgent": True}])
    with serving(model, folder) as running:
        assert running.said().splitlines()[0].startswith("serving on ")
        yield running


def test_choices_and_other_names_are_taken_from_the_type(choices: Running) -> None:
    rows = [{"kind": "fault", "is-urgent": True}, {"kind": "question", "channel": "phone"}]
    expected = [{"reply": "yes", "channel": "mail"}, {"reply": "no", "channel": "phone"}]
    assert choices.predict({"inputs": rows}) == expected
    table = "kind,channel,is-urgent\nfault,mail,true\nquestion,phone,false\n"
    assert predictions(choices.post(table, CSV)) == expected
    schemas = choices.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Call"]["properties"]["kind"]["enum"] == ["question", "fault"]
    assert schemas["Channel"]["enum"] == ["mail", "phone"]
    assert list(schemas["Call"]["properties"]) == ["kind", "channel", "is-urgent"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"kind": "joke"}, "inputs.0.kind: must be 'question' or 'fault'"),
        ({"kind": "fault", "channel": "fax"}, "inputs.0.channel: must be 'mail' or 'phone'"),
        ({"kind": "fault", "is-urgent": 3}, "inputs.0.is-urgent: must be true or false"),
        ({}, "inputs.0.kind: is missing"),
    ],
    ids=["literal", "enum", "boolean", "missing"],
)
def test_choices_are_told(choices: Running, row: Any, said: str) -> None:
    answer = choices.post(json.dumps({"inputs": [row]}))
    assert answer.status_code == 400
    assert answer.json()["message"] == said


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("lengths")
    model = saved(folder / "model", "lengths", ["a", "bb"])
    with serving(model, folder) as running:
        yield running


def test_rows_that_are_no_objects_are_answered(lengths: Running) -> None:
    assert lengths.post('{"inputs": ["", "abc"]}').json() == {"predictions": [0, 3]}
    content = lengths.get("/openapi.json").json()["paths"]["/invocations"]["post"]["requestBody"]
    assert set(content["content"]) == {"application/json"}


@pytest.mark.parametrize("kind", [CSV, PARQUET])
def test_rows_that_are_no_objects_have_no_table(lengths: Running, kind: str) -> None:
    answer = lengths.post("text\nabc\n", kind)
    assert answer.status_code == 400
    if kind == CSV:
        assert "have no columns: send them as inputs" in answer.json()["message"]


@pytest.mark.parametrize(
    ("name", "example", "said"),
    [
        pytest.param(
            "untyped",
            None,
            "error: predict of this model does not say list[…] of what it takes: log it with type "
            "hints",
            id="no type hints",
        ),
        pytest.param(
            "forgetful",
            ["a"],
            "error: the model does not answer its own input example: the model failed with "
            "RuntimeError",
            id="an example that fails",
        ),
    ],
)
def test_a_model_that_cannot_be_served_is_rejected_at_the_start(
    tmp_path: Path, name: str, example: Any, said: str
) -> None:
    model = saved(tmp_path / "model", name, example)
    done = subprocess.run(
        [sys.executable, "-m", "mlflow_sealed.server.run", str(model)],
        env={**clean_environ(), "PYTHONPATH": str(ROOT), "HOST": "127.0.0.1", "PORT": port()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (supervisor.CANNOT_START, "", f"{said}\n")


def port() -> str:
    return str(process.free_port())

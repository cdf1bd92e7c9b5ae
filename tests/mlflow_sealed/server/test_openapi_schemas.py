"""Which JSON schemas the document has: what generators of clients can read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlflow_sealed.server.openapi_schemas import portable
from tests.mlflow_sealed.server.documents import TYPES, document

KNOWN = "#/components/schemas/"


def schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Give every object within a part of a document."""
    if isinstance(part, dict):
        yield part
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, dict | list):
            yield from schemas(value)


@pytest.mark.parametrize("name", TYPES)
def test_references_are_to_whole_schemas_which_exist(name: str) -> None:
    made = document(name)
    found = {each["$ref"] for each in schemas(made) if isinstance(each.get("$ref"), str)}
    assert len(found) > 5
    assert found <= {f"{KNOWN}{each}" for each in made["components"]["schemas"]}


@pytest.mark.parametrize("name", TYPES)
def test_arrays_have_items_and_choices_have_one_type(name: str) -> None:
    for each in schemas(document(name)["components"]["schemas"]):
        if each.get("type") == "array":
            assert isinstance(each["items"], dict)
        if isinstance(each.get("enum"), list):
            assert len({type(value) for value in each["enum"]}) == 1
        assert isinstance(each.get("const", ""), str | int | bool)


@pytest.mark.parametrize("name", TYPES)
def test_no_two_schemas_have_a_title(name: str) -> None:
    titles = [
        each.get("title", key) for key, each in document(name)["components"]["schemas"].items()
    ]
    assert len(titles) == len(set(titles))


def test_a_type_that_differs_between_requests_and_responses_has_two_schemas() -> None:
    """A number may be text in a request, and never is in a response."""
    found = document("same type")["components"]["schemas"]
    assert len(found["Cat-Input"]["properties"]["lives"]["anyOf"]) == 2
    assert found["Cat-Output"]["properties"]["lives"]["type"] == "integer"
    assert found["InvocationInputs"]["properties"]["inputs"]["items"] == {
        "$ref": f"{KNOWN}Cat-Input"
    }


def test_a_models_own_name_stays_and_the_documents_gives_way() -> None:
    made = document("same names")
    assert set(made["components"]["schemas"]["InvocationRequest-Input"]["properties"]) == {"inputs"}
    content = made["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": f"{KNOWN}MlflowInvocationRequest"}


@pytest.mark.parametrize("name", ["no list of fields", "numbers", "lists"])
def test_rows_without_fields_have_no_table(name: str) -> None:
    made = document(name)
    content = made["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json"}
    assert "InvocationTable" not in made["components"]["schemas"]


def test_names_of_columns_are_taken_literally() -> None:
    table = document("wide")["components"]["schemas"]["InvocationTable"]
    patterns = [each["pattern"] for each in table["properties"]["columns"]["prefixItems"]]
    assert patterns[0] == "^pair$"
    assert patterns[-2:] == [r"^a\/b \(c\)\.d$", "^class$"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"unit": "mm"}, {"x-unit": "mm"}),
        ({"x-unit": "mm"}, {"x-unit": "mm"}),
        ({"properties": {"unit": {"unit": 1}}}, {"properties": {"unit": {"x-unit": 1}}}),
        ({"default": {"unit": 1}}, {"default": {"unit": 1}}),
        ({"items": {"enum": [1, "a"]}}, {"items": {"anyOf": [
            {"type": "integer", "enum": [1]}, {"type": "string", "enum": ["a"]},
        ]}}),
        ({"enum": [True, 1, 1.5, None]}, {"anyOf": [
            {"type": "boolean", "enum": [True]},
            {"type": "integer", "enum": [1]},
            {"type": "number", "enum": [1.5]},
            {"type": "null"},
        ]}),
        ({"enum": ["a", "b"], "type": "string"}, {"enum": ["a", "b"], "type": "string"}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_a_schema_is_made_portable_wherever_it_is(schema: Any, expected: Any) -> None:
    assert portable(schema) == expected

"""Expressions: what Azure documents, and errors for the rest."""

import pytest

from tests.pipeline.expressions import Contexts, PipelineError, evaluate, holds

CONTEXTS: Contexts = {
    "variables": {"Build.SourceBranch": "refs/heads/main", "empty": ""},
    "dependencies": {"train": {"result": "Succeeded", "outputs": {"train.due.due": "true"}}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("true", True),
        ("-1.5", -1.5),
        ("variables['build.sourcebranch']", "refs/heads/main"),
        ("variables.empty", ""),
        ("variables['nosuch']", None),
        ("variables.nosuch.deeper", None),
        ("dependencies.train.outputs['train.due.due']", "true"),
        ("dependencies.other.outputs['x']", None),
        ("eq('ABC', 'abc')", True),
        ("eq('true', true)", True),
        ("eq(true, 'anything')", True),
        ("eq(1, '1.0')", True),
        ("eq(1, 'one')", False),
        ("eq(variables['nosuch'], '')", True),
        ("ne(variables.empty, 'x')", True),
        ("not(variables.empty)", True),
        ("or(false, 'x')", True),
        ("and(true, true, false)", False),
        (" and ( true ,eq ( 'a', 'a' ) ) ", True),
    ],
)
def test_an_expression_has_the_documented_value(text: str, value: object) -> None:
    assert evaluate(text, CONTEXTS) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("startsWith('a', 'a')", "function startsWith with 2 arguments is not known"),
        ("and(true)", "function and with 1 arguments is not known"),
        ("always()", "function always with 0 arguments is not known"),
        ("secrets.x", "'secrets' is not known"),
        ("stageDependencies.a.b", "'stageDependencies' is not known"),
        ("dependencies.train", "'dependencies' is no value"),
        ("eq('a', 'a'", "expected ','"),
        ("eq('a' 'a')", "expected ','"),
        ("true false", "something follows its end"),
        ('eq("a", "a")', "cannot be read from"),
        ("", "'' is not known"),
    ],
)
def test_what_is_not_known_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(PipelineError, match=reason.replace("(", r"\(")):
        evaluate(text, CONTEXTS)


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_status_function_is_asked(succeeded: bool) -> None:  # noqa: FBT001 # pytest's
    status = {"succeeded": lambda: succeeded}
    assert holds("and(succeeded(), true)", CONTEXTS, status) is succeeded

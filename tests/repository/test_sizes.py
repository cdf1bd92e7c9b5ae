"""How long things may be: what is longer does two things."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.environ import ROOT

FOLDERS: Final = (
    "mypreprocessing/src",
    "mlflow_sealed/src",
    "training",
    "mlflow_model",
    "examples",
)
MODULE: Final = 350
FUNCTION: Final = 40
MEDIAN: Final = 9
METHODS: Final = 12

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 80
    return found


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """How many lines a function has without its docstring and its decorators."""
    first = function.body[0]
    is_docstring = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_its_functions_and_its_classes_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE
    tree = ast.parse(text)
    long = {each.name: length(each) for each in functions(tree) if length(each) > FUNCTION}
    assert long == {}
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    methods = {each.name: sum(isinstance(one, Function) for one in each.body) for each in classes}
    assert {name: count for name, count in methods.items() if count > METHODS} == {}


def test_the_median_function_is_short() -> None:
    lengths = [
        length(each)
        for path in modules()
        for each in functions(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(lengths) > 600
    assert statistics.median(lengths) <= MEDIAN


def test_control_a_length_is_without_the_docstring() -> None:
    text = 'def one():\n    """Two\n    lines."""\n    return 1\n'
    assert [length(each) for each in functions(ast.parse(text))] == [2]

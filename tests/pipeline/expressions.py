"""Azure Pipelines' expressions, as far as azure-pipelines.yml uses them.

Grammar, conversions and functions follow
https://learn.microsoft.com/azure/devops/pipelines/process/expressions. What is not here is an
error, so that the pipeline cannot come to depend on something that was never run.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

Value = str | bool | float | None
Contexts = Mapping[str, Mapping[str, object]]
Functions = Mapping[str, Callable[[], bool]]

_TOKEN: Final = re.compile(
    r"\s*(?:('(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w-]*)|([(),.\[\]]))"
)
_LITERALS: Final[Mapping[str, Value]] = {"true": True, "false": False, "null": None}


class PipelineError(Exception):
    """The pipeline's file has something that the runner does not know, or that is wrong."""


def evaluate(text: str, contexts: Contexts, status: Functions | None = None) -> Value:
    """Return the value of an expression.

    Parameters
    ----------
    contexts
        What names such as ``variables`` stand for. Names are compared without regard to case; what
        is not there is null.
    status
        The status functions, such as ``succeeded``.

    Raises
    ------
    PipelineError
        If the expression is wrong, or uses a function or a context that is not known.
    """
    tokens = [*_tokens(text), ""]
    parser = _Parser(text, tokens, contexts, status or {})
    value = parser.value()
    if parser.next() != "":
        raise PipelineError(f"expression {text!r}: something follows its end")
    return value


def holds(text: str, contexts: Contexts, status: Functions) -> bool:
    """Return whether a condition holds."""
    return truth(evaluate(text, contexts, status))


def truth(value: Value) -> bool:
    """Return what a value is as a Boolean: an empty string, zero and null are false."""
    return bool(value)


def same(left: Value, right: Value) -> bool:
    """Return what ``eq`` does: the right side is converted to the left one's type."""
    if isinstance(left, bool):
        return left == truth(right)
    if isinstance(left, float):
        try:
            return left == float(right or 0)
        except ValueError:
            return False
    return _text(left).casefold() == _text(right).casefold()


def find(context: Mapping[str, object], name: str) -> object:
    """Return an entry of a context, whatever the case of its name, or None."""
    folded = name.casefold()
    return next((value for key, value in context.items() if key.casefold() == folded), None)


_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., bool]]]] = {
    "and": (2, lambda *values: all(map(truth, values))),
    "or": (2, lambda *values: any(map(truth, values))),
    "not": (1, lambda value: not truth(value)),
    "eq": (2, same),
    "ne": (2, lambda left, right: not same(left, right)),
}
"""The functions, each with the least number of its arguments."""


class _Parser:
    def __init__(self, text: str, tokens: list[str], contexts: Contexts, status: Functions) -> None:
        self._text = text
        self._tokens = iter(tokens)
        self._ahead = next(self._tokens)
        self._contexts = contexts
        self._status = status

    def next(self) -> str:
        token, self._ahead = self._ahead, next(self._tokens, "")
        return token

    def value(self) -> Value:
        token = self.next()
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if re.fullmatch(r"-?\d+(\.\d+)?", token):
            return float(token)
        if self._ahead == "(":
            return self._call(token)
        if token.lower() in _LITERALS:
            return _LITERALS[token.lower()]
        return self._reference(token)

    def _call(self, name: str) -> bool:
        self.next()
        arguments: list[Value] = []
        while self._ahead != ")":
            arguments.append(self.value())
            if self._ahead != ")":
                self._expect(",")
        self._expect(")")
        if name in self._status and not arguments:
            return self._status[name]()
        least, function = _FUNCTIONS.get(name, (0, None))
        if function is None or len(arguments) < least:
            raise self._error(f"function {name} with {len(arguments)} arguments is not known")
        return function(*arguments)

    def _reference(self, name: str) -> Value:
        if name not in self._contexts:
            raise self._error(f"{name!r} is not known")
        found: object = self._contexts[name]
        while self._ahead in {".", "["}:
            key = self.next() and self.next()
            if key.startswith("'"):
                key = key[1:-1]
                self._expect("]")
            found = find(found, key) if isinstance(found, Mapping) else None
        if found is not None and not isinstance(found, str | bool | float):
            raise self._error(f"{name!r} is no value")
        return found

    def _expect(self, token: str) -> None:
        if self.next() != token:
            raise self._error(f"expected {token!r}")

    def _error(self, reason: str) -> PipelineError:
        return PipelineError(f"expression {self._text!r}: {reason}")


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise PipelineError(f"expression {text!r}: cannot be read from {text[position:]!r} on")
        yield match[0].strip()
        position = match.end()


def _text(value: Value) -> str:
    return "" if value is None else str(value)

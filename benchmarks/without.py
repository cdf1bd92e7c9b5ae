"""Removes one trick of the server in the process that imports this module.

``benchmarks.tricks`` starts a server whose ``sitecustomize`` calls `install`: the module that has
the trick is changed as soon as it is imported. The product has no switch for it.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, Final

VARIABLE: Final = "WITHOUT_TRICK"
"""The environment variable that names the trick."""

SAID: Final = "without the trick: "
"""What a process prints, with the trick's name, once it is removed."""

SITECUSTOMIZE: Final = "from benchmarks import without\n\nwithout.install()\n"
"""A module that removes the trick; Python imports it at its start if it is on the path."""


def install() -> None:
    """Remove the trick that the environment names from its module, once that is imported."""
    name = os.environ.get(VARIABLE)
    if name:
        module, remove = REMOVALS[name]
        sys.meta_path.insert(0, _Finder(module, remove, name))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module where Python finds it, and changes it after it is executed."""

    def __init__(self, module: str, remove: Callable[[Any], None], name: str) -> None:
        self._module = module
        self._remove = remove
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_remove(module: ModuleType) -> None:
            execute(module)
            self._remove(module)
            print(f"{SAID}{self._name}", file=sys.stderr, flush=True)

        spec.loader.exec_module = execute_and_remove  # type: ignore[method-assign]
        return spec


def _busy_poll(module: Any) -> None:
    module.BusyPoll.end = lambda _: None


def _at_once(module: Any) -> None:
    module.Connection._may_respond_at_once = lambda _: False  # noqa: SLF001


def _join(module: Any) -> None:
    def write(self: Any, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def write_whole(self: Any, head: bytes, body: bytes) -> None:
        self.write(head)
        self.write(body)

    module.JoiningTransport.write = write
    module.JoiningTransport.write_whole = write_whole


def _trim(module: Any) -> None:
    module.trim = lambda: None


def _keep(module: Any) -> None:
    module.keep = lambda: None


def _freeze(module: Any) -> None:
    module._freeze = lambda: None  # noqa: SLF001


def _colons(module: Any) -> None:
    module.DuplicateKeys._has_one_colon_per_key = lambda *_: False  # noqa: SLF001


def _ctypes(module: Any) -> None:
    module.Booster.probability_list = lambda self, features: self.booster.inplace_predict(
        features
    ).tolist()


def _thread(module: Any) -> None:
    module._processors = lambda: 1  # noqa: SLF001


def _patterns(module: Any) -> None:
    """Accept any plain decimals as text; the schema itself checks the bounds after that."""
    bounded = module.text_pattern
    module.text_pattern = lambda schema: bounded({"type": schema["type"]})


def _warnings(module: Any) -> None:
    module.warnings = SimpleNamespace()  # gets what is assigned, and is not looked at


_SERVER: Final = "mlflow_sealed.server"
REMOVALS: Final[dict[str, tuple[str, Callable[[Any], None]]]] = {
    "busy polling": (f"{_SERVER}.asgi.polling", _busy_poll),
    "no task": (f"{_SERVER}.asgi.connection", _at_once),
    "one write": (f"{_SERVER}.uvicorn_compat", _join),
    "malloc_trim": (f"{_SERVER}.memory", _trim),
    "kept memory": (f"{_SERVER}.memory", _keep),
    "second thread": ("mlflow_sealed_pyfunc.booster", _thread),
    "freeze": (f"{_SERVER}.load", _freeze),
    "colons": (f"{_SERVER}.protocol.duplicate_keys", _colons),
    "ctypes": ("mlflow_sealed_pyfunc.booster", _ctypes),
    "patterns": (f"{_SERVER}.protocol.number_text", _patterns),
    "showwarning": (f"{_SERVER}.load", _warnings),
}
"""For each trick the module that has it, and what removes it from there."""

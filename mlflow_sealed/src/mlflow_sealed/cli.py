"""The command ``mlflow-sealed``: what a project does with its feed, its model and its image."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from mlflow_sealed.parser import Parser


class _Group(NamedTuple):
    module: str
    extra: str
    help: str


_GROUPS: Final = {
    "feed": _Group("feed.commands", "feed", "publish to a feed, install from it, write the locks"),
    "image": _Group("image.commands", "image", "the serving image: build, test, tag, record"),
    "model": _Group("training.commands", "training", "promote, roll back, report"),
    "score": _Group("batch.commands", "batch", "a table through a registered model"),
    "serve": _Group("serve", "feed", "the champion on this machine"),
}
"""Each group's module is imported when it is asked for: other extras need not be installed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    parser = Parser(
        prog="mlflow-sealed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "group",
        choices=_GROUPS,
        metavar="GROUP",
        help="\n".join(f"{name:<8}{group.help}" for name, group in _GROUPS.items()),
    )
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="those of the group; try --help"
    )
    given = parser.parse_args(arguments)
    group = _GROUPS[given.group]
    try:
        module = importlib.import_module(f"mlflow_sealed.{group.module}")
    except ModuleNotFoundError as error:
        print(
            f"error: {given.group} needs the package {error.name}, which is not installed: "
            f"install mlflow-sealed[{group.extra}]",
            file=sys.stderr,
        )
        return 1
    status: int = module.main(given.arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())

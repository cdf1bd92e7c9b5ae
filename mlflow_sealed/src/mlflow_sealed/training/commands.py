"""A person's commands on the registered model: promote, roll back, report."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mlflow.exceptions import MlflowException

from mlflow_sealed import process, project, tracking
from mlflow_sealed.command import be_quiet
from mlflow_sealed.parser import Parser
from mlflow_sealed.project import Project, ProjectError
from mlflow_sealed.training.register.interruption import deferred
from mlflow_sealed.training.register.versions import CHAMPION, RegisteredModel, RegistryError
from mlflow_sealed.training.show import report


@process.command(ProjectError, RegistryError, report.ReportError, MlflowException, OSError)
def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    ours = project.find()
    tracking.use_default(ours)
    be_quiet()
    print(options.command(ours, options))
    return 0


def _promote(ours: Project, options: argparse.Namespace) -> str:
    model = RegisteredModel(ours.names.model)
    with model.locked(), deferred():
        before = model.promote(options.version)
    back = f"version {before} was; mlflow-sealed model rollback goes back to it"
    was = back if before else "there was none"
    return f"models:/{model.name}/{options.version} is the {CHAMPION} ({was})"


def _roll_back(ours: Project, _: argparse.Namespace) -> str:
    model = RegisteredModel(ours.names.model)
    with model.locked(), deferred():
        left, back = model.roll_back()
    return f"models:/{model.name}/{back} is the {CHAMPION} again, version {left} is not"


def _report(ours: Project, options: argparse.Namespace) -> str:
    return report.write(ours, options.run, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mlflow-sealed model", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    promoting = commands.add_parser("promote", help="make a registered version the champion")
    promoting.add_argument("version", metavar="VERSION", help="its number")
    promoting.set_defaults(command=_promote)

    rolling_back = commands.add_parser(
        "rollback", help="make the version the champion that was before"
    )
    rolling_back.set_defaults(command=_roll_back)

    reporting = commands.add_parser("report", help="write what a run shows as one HTML file")
    reporting.add_argument("run", nargs="?", help="the run's id (the champion's)")
    reporting.add_argument(
        "--output", type=Path, default=report.REPORT, help="the file (%(default)s)"
    )
    reporting.set_defaults(command=_report)
    return parser

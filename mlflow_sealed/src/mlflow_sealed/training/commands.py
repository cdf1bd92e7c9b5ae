"""A person's commands on the registered model."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mlflow.exceptions import MlflowException

from mlflow_sealed import process, project, tracking
from mlflow_sealed.command import Parser, be_quiet
from mlflow_sealed.project import Project, ProjectError
from mlflow_sealed.training.show import report


@process.command(ProjectError, report.ReportError, MlflowException, OSError)
def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; a failure is one line on standard error."""
    options = _parser().parse_args(arguments)
    ours = project.find()
    tracking.use_default(ours)
    be_quiet()
    print(options.command(ours, options))
    return 0


def _report(ours: Project, options: argparse.Namespace) -> str:
    return report.write(ours, options.run, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mlflow-sealed model", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    reporting = commands.add_parser("report", help="write what a run shows as one HTML file")
    reporting.add_argument("run", nargs="?", help="the run's id (the champion's)")
    reporting.add_argument("--output", type=Path, default=report.REPORT, help="the file")
    reporting.set_defaults(command=_report)
    return parser

"""The command line of ``mlflow-sealed score``."""

import argparse
from collections.abc import Sequence

from mlflow_sealed import process, project, tracking
from mlflow_sealed.batch import session
from mlflow_sealed.batch.job import FAILURES, score_table
from mlflow_sealed.batch.options import ScoringOptions
from mlflow_sealed.command import be_quiet
from mlflow_sealed.parser import Parser
from mlflow_sealed.project import Project, ProjectError


@process.command(*FAILURES, ProjectError)
def main(arguments: Sequence[str]) -> int:
    """Score once and return the exit status; a failure is one line on standard error."""
    be_quiet()
    ours = project.find()
    tracking.use_default(ours)
    score_table(parse(arguments, ours))
    return 0


def parse(arguments: Sequence[str], ours: Project) -> ScoringOptions:
    """Return the options of a command line, or end the program with one line on what is wrong."""
    parser = Parser(prog="mlflow-sealed score", description="Score a table with a model.")
    parser.add_argument("--input", required=True, help="a file or folder of Parquet or CSV")
    parser.add_argument("--output", required=True, help="a folder that does not exist yet")
    parser.add_argument("--model", default=ours.champion, help="a registered model (%(default)s)")
    parser.add_argument(
        "--master", default=session.LOCAL, help="local[*], spark://…, yarn, k8s://… (%(default)s)"
    )
    parser.add_argument(
        "--partitions",
        type=_whole_number,
        default=ScoringOptions.partitions,
        help="about how many parts; 0: by size (%(default)s)",
    )
    parser.add_argument(
        "--max-bad-share",
        type=_share,
        default=ScoringOptions.max_bad_share,
        help="the share of refused rows that stops the job, 0 to 1 (%(default)s)",
    )
    given = vars(parser.parse_args(arguments))
    return ScoringOptions(
        **given, experiment=ours.names.experiment, executors=ours.lock("executors")
    )


def _whole_number(text: str) -> int:
    """Return a whole number from 0 on; MLflow writes 4 as 4.0."""
    number = _number(text)
    if not number.is_integer() or number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(number)


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None

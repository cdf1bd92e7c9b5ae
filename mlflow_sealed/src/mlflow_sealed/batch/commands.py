"""The command line of ``mlflow-sealed score``."""

from collections.abc import Sequence

from mlflow_sealed import process, project, tracking
from mlflow_sealed.batch import session
from mlflow_sealed.batch.job import FAILURES, Options, batch_score
from mlflow_sealed.command import Parser, be_quiet
from mlflow_sealed.project import Project, ProjectError


@process.command(*FAILURES, ProjectError)
def main(arguments: Sequence[str]) -> int:
    """Score once and return the exit status; a failure is one line on standard error."""
    be_quiet()
    ours = project.find()
    tracking.use_default(ours)
    batch_score(parse(arguments, ours))
    return 0


def parse(arguments: Sequence[str], ours: Project) -> Options:
    """Return what a command line says."""
    parser = Parser(prog="mlflow-sealed score", description="A table through the model.")
    parser.add_argument("--input", required=True, help="a file or folder of Parquet or CSV")
    parser.add_argument("--output", required=True, help="a folder that is not there yet")
    parser.add_argument("--model", default=ours.champion, help="a registered one (%(default)s)")
    parser.add_argument(
        "--master", default=session.LOCAL, help="local[*], spark://…, yarn, k8s://… (%(default)s)"
    )
    parser.add_argument(
        "--partitions",
        type=_count,
        default=Options.partitions,
        help="about how many parts; 0: by size (%(default)s)",
    )
    parser.add_argument(
        "--max-bad-share",
        type=_share,
        default=Options.max_bad_share,
        help="the share of refused rows that stops the job, 0 to 1 (%(default)s)",
    )
    given = vars(parser.parse_args(arguments))
    return Options(**given, experiment=ours.names.experiment, executors=ours.lock("executors"))


def _count(text: str) -> int:
    """Return a whole number, which MLflow hands over as a float."""
    number = float(text)
    if number != int(number) or number < 0:
        raise ValueError
    return int(number)


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError
    return number


_count.__name__, _share.__name__ = "whole number", "share"  # what argparse calls them

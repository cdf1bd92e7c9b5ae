"""The command line of ``mlflow-sealed score``."""

import argparse
from collections.abc import Sequence

from mlflow_sealed import process, project
from mlflow_sealed.batch import options, workers
from mlflow_sealed.batch.options import ScoringOptions
from mlflow_sealed.batch.stopwatch import Stopwatch
from mlflow_sealed.parser import Parser
from mlflow_sealed.project import Project, ProjectError


@process.command(ProjectError, OSError)
def main(arguments: Sequence[str]) -> int:
    """Score once and return the exit status; a failure is one line on standard error."""
    watch, ours = Stopwatch(), project.find()
    given = parse(arguments, ours)
    if not given.on_spark:
        workers.warm_up()  # they import what they need while this process imports MLflow
    from mlflow_sealed.batch import job  # noqa: PLC0415 # see above

    watch.lap("imports")
    return job.run(given, ours, watch)


def parse(arguments: Sequence[str], ours: Project) -> ScoringOptions:
    """Return the options of a command line, or end the program with one line on what is wrong."""
    parser = Parser(prog="mlflow-sealed score", description="Score a table with a model.")
    parser.add_argument("--input", required=True, help="a file or folder of Parquet or CSV; or *")
    parser.add_argument("--output", required=True, help="a folder that does not exist yet")
    parser.add_argument("--model", default=ours.champion, help="a registered model (%(default)s)")
    parser.add_argument(
        "--engine",
        choices=options.ENGINES,
        default=ScoringOptions.engine,
        help="processes of this machine, or Spark; auto: Spark if a master is given (%(default)s)",
    )
    parser.add_argument(
        "--master",
        default=ScoringOptions.master,
        help="of Spark: local[*], spark://…, yarn, k8s://… (%(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_whole_number,
        default=ScoringOptions.workers,
        help="how many processes of this machine; 0: one for each core (%(default)s)",
    )
    _add_more(parser)
    given = vars(parser.parse_args(arguments))
    if given["engine"] == options.LOCAL and given["master"] != options.AUTO:
        parser.error("--master is Spark's: leave out --engine")
    return ScoringOptions(
        **given, experiment=ours.names.experiment, executors=ours.lock("executors")
    )


def _add_more(parser: Parser) -> None:
    """Add the options that say how, and what the output has."""
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
    parser.add_argument(
        "--columns",
        default=ScoringOptions.columns,
        help="which columns of the input to keep: id,site (%(default)s)",
    )
    parser.add_argument(
        "--explain",
        type=_truth,
        default=ScoringOptions.explain,
        help="true: write what each feature contributes (false)",
    )


def _whole_number(text: str) -> int:
    """Return a whole number from 0 on; MLflow writes 4 as 4.0."""
    number = _number(text)
    if not number.is_integer() or number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(number)


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text.lower() == "true"


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

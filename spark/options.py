"""The command line of ``python -m spark.batch_score``."""

from dataclasses import dataclass
from typing import Final

from mlflow_model.model import NAME
from spark import session
from training.command import Parser

MODEL: Final = f"models:/{NAME}@champion"
MAX_BAD_SHARE: Final = 0.05


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes
    ----------
    partitions
        About how many parts to divide the input into; 0: see `spark.plan.make`.
    max_bad_share
        The greatest share of the rows that may be refused, from 0 to 1.
    """

    input: str
    output: str
    model: str = MODEL
    master: str = session.LOCAL
    partitions: int = 0
    max_bad_share: float = MAX_BAD_SHARE


def parse(arguments: list[str] | None) -> Options:
    """Return what a command line says, this process's where it is None."""
    parser = Parser(prog="python -m spark.batch_score", description="A table through the model.")
    parser.add_argument("--input", required=True, help="a file or folder of Parquet or CSV")
    parser.add_argument("--output", required=True, help="a folder that is not there yet")
    parser.add_argument("--model", default=MODEL, help="a registered one (%(default)s)")
    parser.add_argument(
        "--master", default=session.LOCAL, help="local[*], spark://…, yarn, k8s://… (%(default)s)"
    )
    parser.add_argument(
        "--partitions",
        type=_count,
        default=0,
        help="about how many parts; 0: by size (%(default)s)",
    )
    parser.add_argument(
        "--max-bad-share",
        type=_share,
        default=MAX_BAD_SHARE,
        help="the share of refused rows that stops the job, 0 to 1 (%(default)s)",
    )
    return Options(**vars(parser.parse_args(arguments)))


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

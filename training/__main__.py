"""The command that MLproject's entry point runs."""

import argparse
import signal
import sys
from typing import NoReturn

from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from training import log
from training.dataset import DataError, read
from training.evaluate import evaluate, split, table
from training.fit import fit
from training.options import Options


def main(arguments: list[str] | None = None) -> int:
    """Train once and return the exit status; a failure is one line on standard error."""
    signal.signal(signal.SIGTERM, _leave)  # the run that is under way ends as failed
    try:
        train(parse(arguments))
    except (DataError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def train(options: Options) -> None:
    """Read, fit, evaluate, log and register, and print the figures."""
    data = read(options.data)
    rows = split(data, options)
    with log.start_run() as run:
        log.log_provenance(run, data, rows, options)
        classifier = fit(data.records.iloc[rows.training], data.labels[rows.training], options)
        evaluation = evaluate(data, rows, classifier, options)
        log.log_figures(evaluation)
        log.log_held_out(evaluation)
        version, new = log.register(log.log_model(classifier, evaluation.threshold.value))
    print(table(evaluation))
    came = f"is the {log.CHAMPION}" if new else f"is this very model and stays the {log.CHAMPION}"
    print(f"run {run.info.run_id}: models:/diabetes/{version} {came}")


def parse(arguments: list[str] | None) -> Options:
    """Return the options of a command line, or end the program with one line on what is wrong."""
    parser = _Parser(prog="python -m training", description=main.__doc__)
    for name, field in Options.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, default=field.default, help=f"{field.description} (%(default)s)")
    given = vars(parser.parse_args(arguments))
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        parser.error(f"--{flag}: {first['msg']}, got {first['input']!r}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line, without the usage."""
        self.exit(2, f"error: {message}\n")


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

"""The command that MLproject's entry point runs."""

import sys

from mlflow.exceptions import MlflowException

from training import log
from training.command import end_on_sigterm, parse
from training.dataset import DataError, read
from training.evaluate import evaluate, split, table
from training.fit import fit
from training.options import Options


def main(arguments: list[str] | None = None) -> int:
    """Train once and return the exit status; a failure is one line on standard error."""
    end_on_sigterm()
    options = parse(arguments, Options, program="python -m training")
    try:
        train(options)
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


if __name__ == "__main__":
    sys.exit(main())

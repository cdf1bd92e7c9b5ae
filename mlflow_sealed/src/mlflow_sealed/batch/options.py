"""What a scoring job is asked to do."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlflow_sealed.batch import session

_FROM_PROJECT: Final = frozenset({"experiment", "executors"})


@dataclass(frozen=True)
class ScoringOptions:
    """What a scoring job is asked to do.

    Attributes
    ----------
    input, output, model, master
        The addresses of a table, of a folder that does not exist yet, of a registered model, and of
        Spark.
    experiment
        The name of the experiment that the run belongs to.
    executors
        The lock of what executors need in addition to the model's requirements.
    partitions
        About how many parts to divide the input into; 0: see `mlflow_sealed.batch.plan.make`.
    max_bad_share
        The greatest share of the rows that may be refused, from 0 to 1.
    """

    input: str
    output: str
    model: str
    experiment: str
    executors: Path
    master: str = session.LOCAL
    partitions: int = 0
    max_bad_share: float = 0.05

    def parameters(self) -> dict[str, Any]:
        """Return what the user chooses, which are the parameters of the run; not the project's."""
        return {name: value for name, value in asdict(self).items() if name not in _FROM_PROJECT}

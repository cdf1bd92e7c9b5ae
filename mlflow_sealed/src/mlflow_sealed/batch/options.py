"""What a scoring job is asked to do."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

AUTO: Final = "auto"
LOCAL: Final = "local"
SPARK: Final = "spark"
ENGINES: Final = (AUTO, LOCAL, SPARK)
"""What scores the parts: processes of this machine, or Spark."""

SPARK_HERE: Final = "local[*]"
"""The master of Spark if none is given: this machine, all of its cores."""

_FROM_PROJECT: Final = frozenset({"experiment", "executors"})


@dataclass(frozen=True)
class ScoringOptions:
    """What a scoring job is asked to do.

    Attributes
    ----------
    input, output, model
        The addresses of a table, of a folder that does not exist yet, and of a registered model.
    experiment
        The name of the experiment that the run belongs to.
    executors
        The lock of what executors need in addition to the model's requirements.
    engine
        One of `ENGINES`; auto is Spark if a master is given.
    master
        The address of Spark; auto is `SPARK_HERE`.
    workers
        The greatest number of processes of this machine; 0: one for each core. Spark's master has
        its own.
    partitions
        About how many parts to divide the input into; 0: see `mlflow_sealed.batch.plan.make`.
    max_bad_share
        The greatest share of the rows that may be refused, from 0 to 1.
    columns
        The columns of the input that the output has, divided by commas; all stands for all.
    explain
        Whether each row has its reasons.
    """

    input: str
    output: str
    model: str
    experiment: str
    executors: Path
    engine: str = AUTO
    master: str = AUTO
    workers: int = 0
    partitions: int = 0
    max_bad_share: float = 0.05
    columns: str = "all"
    explain: bool = False

    @property
    def on_spark(self) -> bool:
        """Whether Spark scores the parts."""
        return self.engine == SPARK or (self.engine == AUTO and self.master != AUTO)

    @property
    def spark_master(self) -> str:
        """The address of Spark."""
        return SPARK_HERE if self.master == AUTO else self.master

    @property
    def kept(self) -> tuple[str, ...] | None:
        """The columns of the input that the output has; None: all."""
        if self.columns == "all":
            return None
        return tuple(name.strip() for name in self.columns.split(",") if name.strip())

    def parameters(self) -> dict[str, Any]:
        """Return what the user chooses, which are the parameters of the run; not the project's."""
        return {name: value for name, value in asdict(self).items() if name not in _FROM_PROJECT}

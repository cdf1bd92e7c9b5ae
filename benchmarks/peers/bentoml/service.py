"""BentoML: a service class, one worker, without access log and metrics.

The method is ``async``: one that is not is handed to a thread for each request, and fewer are
answered.
"""

import bentoml

from benchmarks.peers.model import Model, Prediction
from mypreprocessing import Patient


@bentoml.service(
    name="peer",
    workers=1,
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Diabetes:
    """The model behind BentoML."""

    def __init__(self) -> None:
        self._model = Model()

    @bentoml.api
    async def predict(self, patients: list[Patient]) -> list[Prediction]:
        """Return one prediction for each patient."""
        return self._model.predict(patients)

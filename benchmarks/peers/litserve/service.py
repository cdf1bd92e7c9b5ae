"""LitServe: an API class, one process that answers HTTP and one worker that predicts.

LitServe's batching stays off: with one connection a request took the server 1.5 times the
processor time and more, and no gain was seen with 16.
"""

import sys

import litserve
from pydantic import BaseModel

from benchmarks.peers.model import Model, Prediction
from mypreprocessing import Patient


class Patients(BaseModel):
    """A request; FastAPI, which LitServe is made with, checks it."""

    inputs: list[Patient]


class Diabetes(litserve.LitAPI):
    """The model behind LitServe's four steps."""

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        self._model = Model()

    def decode_request(self, request: Patients) -> list[Patient]:
        """Return the patients of a request."""
        return request.inputs

    def predict(self, x: list[Patient]) -> list[Prediction]:
        """Return one prediction for each patient."""
        return self._model.predict(x)

    def encode_response(self, output: list[Prediction]) -> dict[str, list[Prediction]]:
        """Return the answer."""
        return {"predictions": output}


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    # ZeroMQ between the two processes: a quarter less processor time than the default queue.
    server = litserve.LitServer(
        Diabetes(), accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]))

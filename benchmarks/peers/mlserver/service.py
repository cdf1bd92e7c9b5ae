"""MLServer: a runtime of our own, in the server's process.

settings.json: no second process to hand each request to, no access log, no metrics, nothing
compressed. The records travel as JSON in a tensor of strings, so that Pydantic can check them.
"""

import json

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from pydantic import TypeAdapter

from benchmarks.peers.model import Model
from mypreprocessing import Patient


class Diabetes(MLModel):
    """The model behind the Open Inference Protocol, with JSON in and out."""

    async def load(self) -> bool:
        """Load the model."""
        self._model = Model()
        self._patients = TypeAdapter(list[Patient])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return one prediction for each patient."""
        (text,) = StringCodec.decode_input(payload.inputs[0])
        predictions = self._model.predict(self._patients.validate_json(text))
        output = StringCodec.encode_output("predictions", [json.dumps(predictions)])
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])

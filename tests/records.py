"""Records that several tests start from."""

import json
from typing import Any

from tests.environ import ROOT

REQUEST = ROOT / "examples" / "request.json"
ROOT_EXAMPLE: dict[str, Any] = json.loads(REQUEST.read_text(encoding="utf-8"))["inputs"][0]


def record(**changes: object) -> dict[str, Any]:
    """Return the example request's record, with some fields changed or added."""
    return {**ROOT_EXAMPLE, **changes}

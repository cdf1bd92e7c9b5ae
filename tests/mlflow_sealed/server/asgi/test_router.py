"""Paths that stand for others, as platforms want them."""

import pytest

from mlflow_sealed.server.asgi.router import routes
from mlflow_sealed.server.settings import StartError

PATHS = frozenset({"/invocations", "/ping", "/ready"})
OWN = {path: path for path in PATHS}


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        pytest.param({}, OWN, id="none"),
        pytest.param({"/v1:predict": "/invocations"}, {**OWN, "/v1:predict": "/invocations"}),
        pytest.param({"/invocations": "/invocations"}, OWN, id="the same"),
        pytest.param({"/ping": "/ready"}, OWN, id="one page for another: it stays what it was"),
    ],
)
def test_a_further_path_stands_for_one_of_ours(
    further: dict[str, str], expected: dict[str, str]
) -> None:
    assert routes(PATHS, further) == expected


@pytest.mark.parametrize("further", [{"/ping": "/invocations"}, {"/invocations": "/ready"}])
def test_a_path_cannot_stand_for_predictions_and_a_page(further: dict[str, str]) -> None:
    with pytest.raises(StartError, match="this server answers it otherwise"):
        routes(PATHS, further)

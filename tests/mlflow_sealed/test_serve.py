"""Where `mlflow-sealed serve` listens: a person's own variables say it, and no others."""

import pytest

from mlflow_sealed.serve import settings
from mlflow_sealed.server.run.listening import address

FOREIGN = {
    "HOST": "x86_64-conda-linux-gnu",
    "PORT": "3000",
    "AIP_HTTP_PORT": "8080",
    "SAGEMAKER_BIND_TO_PORT": "8081",
}
"""What conda, shells and platforms export for other purposes."""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ("127.0.0.1", 5000)),
        ({"SCORING_LISTEN_HOST": "", "SCORING_LISTEN_PORT": ""}, ("127.0.0.1", 5000)),
        ({"SCORING_LISTEN_PORT": "5002"}, ("127.0.0.1", 5002)),
        ({"SCORING_LISTEN_HOST": "::1"}, ("::1", 5000)),
    ],
)
@pytest.mark.parametrize("foreign", [{}, FOREIGN], ids=["clean", "with others' variables"])
def test_it_listens_where_its_own_variables_say(
    own: dict[str, str], expected: tuple[str, int], foreign: dict[str, str]
) -> None:
    assert address(settings({**foreign, **own})) == expected


def test_control_the_server_itself_obeys_them_as_in_a_container() -> None:
    assert address({"PORT": FOREIGN["PORT"]}) == ("0.0.0.0", 3000)  # noqa: S104 # compared

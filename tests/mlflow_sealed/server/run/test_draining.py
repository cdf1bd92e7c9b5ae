"""The bounds of a drain and of an idle connection, as the server's own configuration has them."""

import pytest

from mlflow_sealed.server.asgi.application import Application
from mlflow_sealed.server.asgi.observers import Observers
from mlflow_sealed.server.asgi.pages import Readiness
from mlflow_sealed.server.run import supervisor
from mlflow_sealed.server.run.draining import LINGER_S, DrainingServer
from mlflow_sealed.server.settings import MOST_DRAIN_DELAY_S, Settings


def server(**settings: int) -> DrainingServer:
    """Return a server that nothing has started."""
    ours = Settings(**settings)  # type: ignore[arg-type]
    app = Application(
        None,  # type: ignore[arg-type] # no request comes
        (),
        ours,
        readiness=Readiness(),
        observers=Observers([]),
    )
    return DrainingServer(app, ours, -1)


@pytest.mark.parametrize("delay_s", [0, 5, MOST_DRAIN_DELAY_S])
def test_the_delay_and_what_follows_it_are_over_before_the_worker_is_killed(delay_s: int) -> None:
    config = server(drain_delay_s=delay_s).config
    assert config.timeout_graceful_shutdown is not None
    longest_s = delay_s + LINGER_S + config.timeout_graceful_shutdown
    assert longest_s < supervisor.GRACE_S + supervisor.MARGIN_S


def test_an_idle_connection_outlives_those_of_common_proxies_by_default() -> None:
    """60 s: AWS's load balancer, nginx. 240 s: Azure's drops what is idle silently."""
    assert 60 < server().config.timeout_keep_alive < 240
    assert server(keep_alive_s=620).config.timeout_keep_alive == 620

"""Where the server listens: what its settings say, and the socket."""

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

from mlflow_sealed.server.settings import StartError, number

HOSTS: Final = ("SCORING_LISTEN_HOST", "HOST")
PORTS: Final = ("SCORING_LISTEN_PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")
"""The variables that may say it. The first that is set and not empty counts.

Vertex AI, SageMaker and Cloud Run tell a container its port in the last three. The first is for
people; SCORING_PORT would not do, because Kubernetes sets NAME_PORT for each Service NAME.
"""

DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 # a container's own network
DEFAULT_PORT: Final = 8080


def address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Return where the server listens: an IP address or localhost, and a port.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If a variable has something else. Conda, for one, sets HOST to the name of a compiler's
        target.
    """
    name = _first_set(environ, HOSTS)
    host = environ.get(name) or DEFAULT_HOST
    if not _is_address(host):
        raise StartError(f"{name} is {host!r}, expected an IP address or localhost")
    return host, number(environ, _first_set(environ, PORTS), most=65535) or DEFAULT_PORT


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; with the host ``::`` it takes IPv4 too.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If it cannot listen there.
    """
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(_socket(host))
            listener.bind((host, port))
        except OSError as error:
            raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        listener.listen(2048)
        listener.setblocking(False)  # noqa: FBT003 # the socket's own signature
        stack.pop_all()
        return listener


def _socket(host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family is socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return listener


def _first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((name for name in names if environ.get(name)), names[-1])


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

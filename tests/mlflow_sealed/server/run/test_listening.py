"""Where the server listens: whose variable counts, what is refused, and IPv6."""

import socket

import pytest

from mlflow_sealed import process
from mlflow_sealed.server.run.listening import HOSTS, PORTS, address, listen
from mlflow_sealed.server.settings import StartError

CONDA = "x86_64-conda-linux-gnu"
SERVICE = "tcp://10.0.0.11:8080"
"""What Kubernetes sets SCORING_PORT to, for a Service whose name is scoring."""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, ("0.0.0.0", 8080), id="nothing"),  # noqa: S104 # compared, not bound
        pytest.param({"PORT": "", "HOST": ""}, ("0.0.0.0", 8080), id="empty"),  # noqa: S104
        pytest.param({"PORT": "9000"}, ("0.0.0.0", 9000), id="Cloud Run, Knative"),  # noqa: S104
        pytest.param(
            {"PORT": "8080", "AIP_HTTP_PORT": "9001"},
            ("0.0.0.0", 9001),  # noqa: S104
            id="Vertex AI, over the image's own PORT",
        ),
        pytest.param(
            {"PORT": "8080", "SAGEMAKER_BIND_TO_PORT": "9002"},
            ("0.0.0.0", 9002),  # noqa: S104
            id="SageMaker, over the image's own PORT",
        ),
        pytest.param(
            {
                "HOST": CONDA,
                "PORT": "3000",
                "AIP_HTTP_PORT": "9001",
                "SCORING_LISTEN_HOST": "127.0.0.1",
                "SCORING_LISTEN_PORT": "5000",
            },
            ("127.0.0.1", 5000),
            id="a person's own, over all others",
        ),
        pytest.param({"SCORING_PORT": SERVICE}, ("0.0.0.0", 8080), id="a Service"),  # noqa: S104
        pytest.param({"HOST": "localhost"}, ("localhost", 8080), id="localhost"),
        pytest.param({"HOST": "::"}, ("::", 8080), id="IPv6"),
        pytest.param({"HOST": "fe80::1%eth0"}, ("fe80::1%eth0", 8080), id="IPv6 with a zone"),
    ],
)
def test_the_first_variable_that_is_set_says_where(
    environ: dict[str, str], expected: tuple[str, int]
) -> None:
    assert address(environ) == expected


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("host", [CONDA, "my-laptop", "[::]", "127.1", "10.0.0", "0", "::g", " "])
def test_what_is_no_address_is_refused_by_the_name_of_its_variable(name: str, host: str) -> None:
    with pytest.raises(StartError, match=rf"^{name} is '.*', expected an IP address or localhost$"):
        address({name: host})


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("port", ["0", "65536", "http", SERVICE])
def test_what_is_no_port_is_refused_by_the_name_of_its_variable(name: str, port: str) -> None:
    with pytest.raises(StartError, match=f"^{name} is '.*', expected a whole number from 1 to"):
        address({name: port})


def test_an_address_that_is_not_this_machines_is_one_line() -> None:
    with pytest.raises(StartError, match="cannot listen on 192.0.2.1 port 8080: "):
        listen("192.0.2.1", 8080)


def test_a_system_without_ipv6_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(family: int, kind: int) -> socket.socket:
        del family, kind
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_ipv6)
    with pytest.raises(StartError, match="cannot listen on :: port 8080: Address family not"):
        listen("::", 8080)


@pytest.mark.services
@pytest.mark.parametrize(("host", "clients"), [("::", ["127.0.0.1", "::1"]), ("::1", ["::1"])])
def test_ipv6_takes_ipv4_too_where_it_stands_for_every_address(
    host: str, clients: list[str]
) -> None:
    port = process.free_port()
    with listen(host, port):
        for client in clients:
            socket.create_connection((client, port), timeout=5).close()

"""A run that is gone is told from a tracking server that fails."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest

from mlflow_sealed.tracking import find_run


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A tracking server with one answer; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def error(code: str) -> str:
    return json.dumps({"error_code": code, "message": "as told"})


@pytest.mark.services
def test_a_run_that_the_server_does_not_have_is_none() -> None:
    with answering(404, error("RESOURCE_DOES_NOT_EXIST")) as uri:
        mlflow.set_tracking_uri(uri)
        assert find_run("0") is None


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, error("PERMISSION_DENIED"), "as told"),
        (500, error("INTERNAL_ERROR"), "500 error responses"),
        (404, error("ENDPOINT_NOT_FOUND"), "as told"),
        (404, "<html>no such page</html>", "failed with error code 404"),
        (502, "<html>bad gateway</html>", "502"),
    ],
)
@pytest.mark.services
def test_any_other_answer_is_an_error(
    status: int, body: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(status, body) as uri:
        mlflow.set_tracking_uri(uri)
        with pytest.raises(mlflow.MlflowException, match=said):
            find_run("0")


@pytest.mark.parametrize("run_id", [None, ""])
def test_a_version_without_a_run_has_none_and_no_server_is_asked(run_id: str | None) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    assert find_run(run_id) is None

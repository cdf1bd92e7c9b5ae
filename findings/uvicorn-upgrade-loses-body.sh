#!/usr/bin/env bash
# uvicorn with httptools drops the body of a request that offers another protocol (Upgrade: h2c).
#
# RFC 9110 (7.8) lets a server ignore Upgrade. uvicorn 0.54.0 says 'Unsupported upgrade request.'
# and calls the application with an empty body, whatever Content-Length says; a request that came in
# the same piece behind it is never answered. Java's HttpClient and curl --http2 send such requests.
# With h11 instead of httptools the body is there.
#
# It needs python3.11 and access to a package index. Status 0: it is still as said here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  h11==0.16.0 httptools==0.9.0 uvicorn==0.54.0
cat >lengths.py <<'PYTHON'
async def app(scope, receive, send):
    """Answer with the length of the body."""
    assert scope["type"] == "http"
    body, is_whole = b"", False
    while not is_whole:
        message = await receive()
        body += message["body"]
        is_whole = not message["more_body"]
    said = b"%d" % len(body)
    head = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": said})
PYTHON
cat >ask.py <<'PYTHON'
import importlib.metadata
import re
import socket
import subprocess
import sys
import time


def request(path, body, *lines):
    length = f"Content-Length: {len(body)}"
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: test", length, *lines, "", body]).encode()


OFFER = ("Connection: Upgrade", "Upgrade: h2c")
SENT = {
    "no offer": request("/", "12345") + request("/", "123"),
    "an offer": request("/", "12345", *OFFER) + request("/", "123"),
}


def ask(port, sent):
    """Return the lengths that the application saw, in all answers that come within a second."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            pass
    return [int(length) for length in re.findall(rb"\r\n\r\n(\d)", received)]


def served(http):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--port", str(port), "--http", http, "--ws", "none", "--no-access-log")
    command = [sys.executable, "-m", "uvicorn", "lengths:app", *options, "--log-level", "warning"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        found = {name: ask(port, sent) for name, sent in SENT.items()}
    finally:
        server.terminate()
        _, log = server.communicate(timeout=30)
    return found, "Unsupported upgrade request" in log


for name in ("uvicorn", "httptools", "h11"):
    print(name, importlib.metadata.version(name))
print("two requests in one piece, bodies of 5 and 3 bytes; the lengths that the application saw:")
found, is_said = served("httptools")
for name, lengths in found.items():
    print(f"  httptools, {name}: {lengths}")
print(f"  httptools says 'Unsupported upgrade request': {is_said}")
others, _ = served("h11")
for name, lengths in others.items():
    print(f"  h11, {name}: {lengths}")
if (found, is_said) != ({"no offer": [5, 3], "an offer": [0]}, True):
    sys.exit("it has changed")
if others != {"no offer": [5, 3], "an offer": [5, 3]}:
    sys.exit("the control has changed")
PYTHON
environment/bin/python ask.py

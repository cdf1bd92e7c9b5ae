"""What a subprocess for slow requests does: it scores one request after the other."""

import signal
import socket
import struct
from typing import Final

from mlflow_sealed.server import prctl
from mlflow_sealed.server.memory import RequestMemory
from mlflow_sealed.server.result import Score

REQUEST: Final = struct.Struct("!HI")
"""What a request begins with: the bytes of the media type and of the body."""

RESULT: Final = struct.Struct("!HIId")
"""What a result begins with: its status, its rows, the bytes of the body, seconds."""


def score_all(requests: socket.socket, score: Score) -> None:
    """Score requests until the other side closes the socket, or this process's parent ends."""
    prctl.set_name("scoring-slow")
    prctl.signal_on_parents_end(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its worker ends it, once work is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    memory = RequestMemory()
    while True:
        memory.trim_when_idle(requests)
        head = read(requests, REQUEST.size)
        if not head:
            return
        length, size = REQUEST.unpack(head)
        media_type = read(requests, length).decode()
        result = score(media_type, read(requests, size))
        status, rows, body, seconds, kept = result
        requests.sendall(RESULT.pack(status, rows, len(body), seconds))
        requests.sendall(body)
        memory.note(size)
        del result, body, kept  # now, not when the next request is here


def read(source: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes, or none at all if the other side has gone."""
    found = source.recv(size, socket.MSG_WAITALL)
    return found if len(found) == size else b""

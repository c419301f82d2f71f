"""The step channel: how the kernel of a run asks its supervisor, and is answered, over a Unix socket.

One JSON object a line in each direction. What goes wrong while answering travels back as an error and is raised again
in the kernel.
"""

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from ops_lib.model import errors

Answer = Callable[[str, Mapping[str, Any]], Any]
VARIABLE = "RUNBOOK_CHANNEL"
LONGEST_QUESTION = 32 << 20


class Server:
    """Answers the kernel's questions in threads of its own, as long as it is open."""

    def __init__(self, path: Path, answer: Answer) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while line := self.rfile.readline(LONGEST_QUESTION):
                    reply = _answered(answer, line) if line.endswith(b"\n") else _too_long(self.rfile)
                    self.wfile.write(json.dumps(reply).encode() + b"\n")

        self._server = _Sockets(str(path), Handler)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closing:
            self._server.handle_request()

    def close(self) -> None:
        self._closing = True
        self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a call
        self._thread.join()
        self._server.server_close()


class _Sockets(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A kernel that died in the middle of a question needs no traceback."""


def _answered(answer: Answer, line: bytes) -> dict[str, Any]:
    try:
        question = json.loads(line)
        return {"answer": answer(question.pop("ask"), question)}
    except errors.OpsError as error:
        return _error(error)
    except Exception as error:  # a question that cannot be understood must not leave the kernel without an answer
        return _error(errors.OpsError(f"the supervisor could not answer: {type(error).__name__}: {error}"))


def _too_long(rest: BufferedIOBase) -> dict[str, Any]:
    """Pass over a question that is longer than any that makes sense."""
    while (more := rest.readline(LONGEST_QUESTION)) and not more.endswith(b"\n"):
        pass
    limit = f"{LONGEST_QUESTION >> 20} MB at the most are taken"
    return _error(errors.BadInput("what was sent to the supervisor is too long", hint=limit))


def _error(error: errors.OpsError) -> dict[str, Any]:
    return {"error": {"type": type(error).__name__, "message": error.message, "hint": error.hint}}


class Client:
    """The kernel's end. Calls may come from any thread; they take turns."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._turn = threading.Lock()

    def ask(self, question: str, **details: Any) -> Any:
        """The supervisor's answer; its errors are raised here as what they were there."""
        with self._turn:
            self._socket.sendall(json.dumps({"ask": question, **details}).encode() + b"\n")
            line = self._file.readline()
        if not line:
            raise errors.Interrupted("the supervisor of this run is gone")
        reply = json.loads(line)
        if "error" in reply:
            kind = getattr(errors, reply["error"]["type"], errors.OpsError)
            raise kind(reply["error"]["message"], hint=reply["error"]["hint"])
        return reply["answer"]

"""The step channel: how the kernel of a run asks its supervisor, and is answered, over a Unix socket.

One JSON object a line in each direction. What goes wrong while answering travels back as an error and is raised again
in the kernel.
"""

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ops_lib.model import errors

Answer = Callable[[str, Mapping[str, Any]], Any]
VARIABLE = "RUNBOOK_CHANNEL"


class Server:
    """Answers the kernel's questions in threads of its own, as long as it is open."""

    def __init__(self, path: Path, answer: Answer) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(json.dumps(_answered(answer, line)).encode() + b"\n")

        self._server = _Sockets(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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

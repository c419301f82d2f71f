"""The wire to a kernel: its sockets, driven by one thread without an event loop.

A kernel that goes away is noticed at once, since what stands for its life is polled with its sockets.
Source: "Messaging in Jupyter", sections on the wire protocol, shell and IOPub.
"""

import json
import math
import time
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

import zmq
from jupyter_client.session import Session
from nbclient.exceptions import DeadKernelError

LARGEST_MESSAGE = 32 << 20
"""No message is taken that is larger than what the flood gate of a kernel lets through."""

MOST_WAITING = 100
"""So many messages wait on this side, lest a flood fills our memory; what is more waits in the kernel."""

_LAST_WORDS_SECONDS = 0.1
_ASK_AGAIN_SECONDS = 0.1
SHELL, IOPUB = "shell", "iopub"

Message = dict[str, Any]


class Wire:
    """Requests go out over `shell`; replies come back over it, and everything else over `iopub`.

    `ended` is a descriptor that can be read once the kernel is gone.
    """

    def __init__(self, connection: Mapping[str, Any], ended: int) -> None:
        self._session = Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.RCVHWM, MOST_WAITING)
        self._ended = ended
        self._sockets = {
            self._connected(zmq.DEALER, connection, SHELL): SHELL,
            self._connected(zmq.SUB, connection, IOPUB): IOPUB,
        }
        self._shell, self._iopub = self._sockets
        self._iopub.subscribe(b"")
        self._poller = zmq.Poller()
        for watched in (*self._sockets, ended):
            self._poller.register(watched, zmq.POLLIN)

    def _connected(self, kind: int, connection: Mapping[str, Any], channel: str) -> Any:
        made = self._context.socket(kind)
        if kind == zmq.DEALER:
            made.identity = self._session.bsession
        port, place = connection[f"{channel}_port"], connection["ip"]
        made.connect(f"tcp://{place}:{port}" if connection["transport"] == "tcp" else f"ipc://{place}-{port}")
        return made

    def request(self, kind: str, content: Mapping[str, Any]) -> str:
        """Send a request; the id by which what belongs to it is known."""
        sent = self._session.send(self._shell, kind, content)
        return str(sent["header"]["msg_id"])

    def next(self, deadline: float | None = None) -> tuple[str, Message] | None:
        """The next message and its channel; nothing once the deadline has passed. DeadKernelError where none can come.

        What a kernel said before it died is still delivered.
        """
        while True:
            left = None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
            ready = dict(self._poller.poll(left))
            if self._iopub in ready:
                return IOPUB, self._received(self._iopub)
            if self._shell in ready:
                return SHELL, self._received(self._shell)
            if self._ended in ready:
                return self._last_words()
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def _last_words(self) -> tuple[str, Message]:
        if self._iopub.poll(_LAST_WORDS_SECONDS * 1000):
            return IOPUB, self._received(self._iopub)
        raise DeadKernelError("Kernel died")

    def _received(self, ready: Any) -> Message:
        """A message as the session would read it, but for the times in it, which stay text: they take longest."""
        _, (signature, *parts) = self._session.feed_identities(ready.recv_multipart())
        if not compare_digest(signature, self._session.sign(parts[:4])):
            raise ValueError("a message of the kernel is not signed with its key")
        header, parent, metadata, content = map(json.loads, parts[:4])
        told = {"parent_header": parent, "metadata": metadata, "content": content, "buffers": parts[4:]}
        return {"header": header, "msg_id": header["msg_id"], "msg_type": header["msg_type"], **told}

    def ready(self, seconds: float) -> Message:
        """What the kernel says of itself, once it both answers and is heard.

        A subscription takes effect some time after it was made, and what was published before is lost, so the kernel is
        asked until something arrives. RuntimeError where nothing does in time.
        """
        deadline = time.monotonic() + seconds
        reply, heard = None, False
        while not (reply and heard):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {seconds} seconds")
            self.request("kernel_info_request", {})
            again = min(time.monotonic() + _ASK_AGAIN_SECONDS, deadline)
            while not (reply and heard) and (got := self.next(again)):
                channel, message = got
                heard = heard or channel == IOPUB
                reply = message["content"] if message["msg_type"] == "kernel_info_reply" else reply
        return dict(reply)

    def close(self) -> None:
        self._context.destroy(linger=0)

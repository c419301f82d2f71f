"""Stands where Jupyter expects a kernel, with the kernel behind it: every message between the two passes here.

What the kernel puts out goes to a watcher, and only what the watcher lets through reaches Jupyter: what a browser shows
and a server saves is what the record keeps. Requests pass as they are, but for those that run code, end the kernel or
interrupt it. Cells go to the kernel one at a time, as papermill sends them: what a cell asks of its supervisor must
find all that the cells before it put out.

Source: "Messaging in Jupyter", sections on the wire protocol and the kernel's sockets.
"""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import zmq
from jupyter_client.session import DELIM, Session

from ops_lib.notebooks.outputs import OUTPUT_TYPES
from ops_lib.notebooks.wire import LARGEST_MESSAGE

LOOK_MILLISECONDS = 1000
"""How long it may take until it is noticed that whoever started this is gone."""

_PASSED = ("shell", "control", "stdin")

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A cell that Jupyter asks to run: its id in the notebook, where it has one, and its source as it stands there."""

    request: str
    cell: str | None
    source: str


class Watcher(Protocol):
    """Who decides what runs, and what of it is seen."""

    def asked(self, execution: Execution) -> str | None:
        """Why this must not run; nothing where it may."""

    def began(self, execution: Execution) -> None:
        """The kernel runs it now."""

    def output(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        """The kernel put something out; what may be seen of it is told to `StandIn.publish`."""

    def ended(self, request: str) -> None:
        """The kernel is done with it, and all that it put out has been told."""

    def cleaned(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What else the kernel says, as it may be seen."""

    def interrupt(self) -> None:
        """Interrupt the running cell."""


class StandIn:
    """Serves one connection file of Jupyter's from one kernel; `ended` can be read once that kernel is gone."""

    def __init__(self, outer: Mapping[str, Any], inner: Mapping[str, Any], ended: int, watcher: Watcher) -> None:
        self._watcher = watcher
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
        self._context.setsockopt(zmq.LINGER, 1000)
        self._outer = _session(outer)
        self._inner = _session(inner)
        self._ended = ended
        self._parent = os.getppid()
        self._known: dict[str, tuple[Execution, Message]] = {}
        self._waiting: deque[tuple[list[bytes], list[bytes], Message]] = deque()
        self._running: str | None = None
        self._awaited: set[str] = set()
        self._failed = False
        self._faces = {name: _bound(self._context, zmq.ROUTER, outer, name) for name in _PASSED}
        self._seen = _bound(self._context, zmq.PUB, outer, "iopub")
        self._heartbeat = _bound(self._context, zmq.REP, outer, "hb")
        self._backs = {name: _connected(self._context, zmq.DEALER, inner, name) for name in _PASSED}
        self._heard = _connected(self._context, zmq.SUB, inner, "iopub")
        self._heard.subscribe(b"")

    def serve(self) -> str:
        """Pass messages until Jupyter asks for the end, is gone, or the kernel is gone; which of these it was."""
        poller = zmq.Poller()
        for watched in (*self._faces.values(), *self._backs.values(), self._heartbeat, self._heard, self._ended):
            poller.register(watched, zmq.POLLIN)
        while True:
            if end := self._turn(dict(poller.poll(LOOK_MILLISECONDS))):
                return end

    def _turn(self, ready: Mapping[Any, int]) -> str | None:
        """Pass on some of what is there: orders first, and what is put out before replies and the news of a death."""
        if self._faces["control"] in ready and (end := self._request("control")):
            return end
        if self._heard in ready:
            self._hear()
            return None
        if self._ended in ready:
            return "died"
        if self._heartbeat in ready:
            self._heartbeat.send_multipart(self._heartbeat.recv_multipart())
        for name in _PASSED:
            if self._backs[name] in ready:
                self._reply(name)
        for name in ("shell", "stdin"):
            if self._faces[name] in ready and (end := self._request(name)):
                return end
        return None if os.getppid() == self._parent else "orphaned"

    def publish(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        """Show something in the cell that a request ran."""
        _, message = self._known[request]
        ident = f"kernel.{self._outer.session}.{kind}".encode()
        self._outer.send(self._seen, kind, dict(content), parent=message["header"], ident=ident)

    def close(self) -> None:
        self._context.destroy()

    # What Jupyter asks.

    def _request(self, name: str) -> str | None:
        idents, frames, message = self._read(self._faces[name], self._outer)
        if message is None:
            return None
        kind = message["msg_type"]
        if kind == "shutdown_request":
            self._answer(name, idents, message, {"status": "ok", "restart": message["content"].get("restart", False)})
            return "asked"
        if kind == "interrupt_request":
            self._watcher.interrupt()
            self._answer(name, idents, message, {"status": "ok"})
        elif kind == "execute_request":
            if name == "shell":  # a kernel would run code from elsewhere too, between the cells
                self._waiting.append((idents, frames, message))
                self._run_next()
        else:
            self._pass_on(self._backs[name], self._inner, idents, frames)
        return None

    def _run_next(self) -> None:
        """Hand the kernel the next cell that may run, once it is done with the one before."""
        while self._waiting and self._running is None:
            idents, frames, message = self._waiting.popleft()
            if self._may_run(idents, message):
                self._running, self._awaited, self._failed = message["header"]["msg_id"], {"reply", "idle"}, False
                self._pass_on(self._backs["shell"], self._inner, idents, frames)

    def _done_with(self, request: str, part: str) -> None:
        """A cell is over once it was replied to and everything that it put out was heard; after a failure all stop."""
        if request != self._running:
            return
        self._awaited.discard(part)
        if self._awaited:
            return
        self._running = None
        while self._failed and self._waiting:
            idents, _, message = self._waiting.popleft()
            self._answer("shell", idents, message, {"status": "aborted"})
            self._known[message["header"]["msg_id"]] = _execution(message), message
            self.publish(message["header"]["msg_id"], "status", {"execution_state": "idle"})
        self._run_next()

    def _may_run(self, idents: list[bytes], message: Message) -> bool:
        content, request = message["content"], message["header"]["msg_id"]
        execution = _execution(message)
        self._known[request] = (execution, message)
        why = "code is not run unseen here" if content.get("silent") else self._watcher.asked(execution)
        if why is None:
            return True
        error = {"ename": "Refused", "evalue": why, "traceback": [f"Refused: {why}"]}
        self.publish(request, "error", error)
        self._answer("shell", idents, message, {"status": "error", "execution_count": 0, **error})
        self.publish(request, "status", {"execution_state": "idle"})
        return False

    def _answer(self, name: str, idents: list[bytes], message: Message, content: Mapping[str, Any]) -> None:
        kind = message["msg_type"].replace("request", "reply")
        self._outer.send(self._faces[name], kind, dict(content), parent=message, ident=idents)

    # What the kernel says.

    def _hear(self) -> None:
        idents, frames, message = self._read(self._heard, self._inner)
        if message is None:
            return
        kind, request = message["msg_type"], message["parent_header"].get("msg_id", "")
        known = self._known.get(request)
        if kind in OUTPUT_TYPES:
            if known:
                self._watcher.output(request, kind, message["content"])
            return
        if known and kind == "execute_input":
            self._watcher.began(known[0])
        idle = bool(known) and kind == "status" and message["content"]["execution_state"] == "idle"
        if idle:
            self._watcher.ended(request)
        self._pass_on(self._seen, self._outer, idents, self._clean(frames, message))
        if idle:
            self._done_with(request, "idle")

    def _reply(self, name: str) -> None:
        idents, frames, message = self._read(self._backs[name], self._inner)
        if message is None:
            return
        self._pass_on(self._faces[name], self._outer, idents, self._clean(frames, message))
        if message["msg_type"] == "execute_reply":
            request = message["parent_header"]["msg_id"]
            stops = self._known[request][1]["content"].get("stop_on_error", True)
            self._failed = self._failed or (stops and message["content"]["status"] == "error")
            self._done_with(request, "reply")

    def _clean(self, frames: list[bytes], message: Message) -> list[bytes]:
        """The frames of a message with what its content may say."""
        content = self._watcher.cleaned(message["content"])
        return frames if content == message["content"] else [*frames[:4], self._outer.pack(content), *frames[5:]]

    # Frames: a signature, then header, parent, metadata and content, then buffers.

    def _read(self, socket: Any, session: Session) -> tuple[list[bytes], list[bytes], Message | None]:
        """A message with its frames; nothing of one that is not signed, which is nobody's."""
        idents, frames = session.feed_identities(socket.recv_multipart())
        try:
            return idents, frames, session.deserialize(frames)
        except (ValueError, TypeError, KeyError):
            return idents, frames, None

    def _pass_on(self, socket: Any, session: Session, idents: list[bytes], frames: list[bytes]) -> None:
        socket.send_multipart([*idents, DELIM, session.sign(frames[1:5]), *frames[1:]])


def _execution(message: Message) -> Execution:
    cell = message["metadata"].get("cellId")
    source = str(message["content"].get("code", ""))
    return Execution(request=message["header"]["msg_id"], cell=cell and str(cell), source=source)


def _session(connection: Mapping[str, Any]) -> Session:
    return Session(key=connection["key"].encode(), signature_scheme=connection["signature_scheme"])


def _place(connection: Mapping[str, Any], name: str) -> str:
    transport, place, port = connection["transport"], connection["ip"], connection[f"{name}_port"]
    return f"tcp://{place}:{port}" if transport == "tcp" else f"ipc://{place}-{port}"


def _bound(context: "zmq.Context[Any]", kind: int, connection: Mapping[str, Any], name: str) -> Any:
    made = context.socket(kind)
    made.bind(_place(connection, name))
    return made


def _connected(context: "zmq.Context[Any]", kind: int, connection: Mapping[str, Any], name: str) -> Any:
    made = context.socket(kind)
    if name == "stdin":
        made.identity = b"stdin"
    made.connect(_place(connection, name))
    return made

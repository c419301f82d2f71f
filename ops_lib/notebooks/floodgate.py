"""Keeps a cell from flooding its supervisor. Loaded into a run's kernel as an IPython extension.

Everything that a kernel says leaves through its session. Here the outputs of one cell are let through until they have
reached a size or a number; the rest is only counted and digested, and the cell's last message says how much there
was. Many small pieces of text are sent together. The supervisor has limits of its own behind this one.
"""

import array
import fcntl
import hashlib
import json
import sys
import termios
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops_lib.notebooks.brisk import quicken

CELL_BYTES = 6 << 20
CELL_MESSAGES = 5_000
AT_ONCE = 1_000
TOGETHER = 1 << 16
TOGETHER_SECONDS = 0.2
CHILDREN_SECONDS = 1.0
HANDED_ON_SECONDS = 0.0002
LONGEST_ERROR = 30_000
CUT = "runbook_cut"
_OUTPUTS = frozenset({"stream", "display_data", "execute_result", "update_display_data"})


def load_ipython_extension(shell: Any) -> None:
    """Stand between a kernel and its session."""
    kernel = shell.kernel
    gate = Gate(kernel.session.send, kernel.iopub_thread)
    kernel.session.send = gate.send
    publisher = kernel.iopub_thread
    publisher.schedule(lambda: publisher.socket.set_hwm(0))  # what was let through is never dropped on its way
    shell.events.register("post_run_cell", lambda _: hear_children())
    quicken(kernel)


def hear_children() -> None:
    """Wait until what a cell's children have printed is read from their pipe; later it would belong to no cell."""
    deadline = time.monotonic() + CHILDREN_SECONDS
    for stream in (sys.stdout, sys.stderr):
        pipe = getattr(stream, "_fid", None)
        while pipe is not None and _unread(pipe) and time.monotonic() < deadline:
            time.sleep(0.001)
    time.sleep(HANDED_ON_SECONDS)  # the thread that has read it hands it on


def _unread(pipe: int) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0]


def digest_of(kind: str, content: Mapping[str, Any]) -> bytes:
    """What of a message counts and is digested: a stream's text, and whatever else as JSON."""
    if kind == "stream":
        return str(content.get("text", "")).encode("utf-8", "replace")
    return json.dumps(content.get("data", content), sort_keys=True, default=repr).encode()


def clipped(text: str, limit: int = LONGEST_ERROR) -> str:
    """The two ends of a text that is too long, with its length and digest between them.

    >>> clipped("abcdefgh", 4)
    'ab[cut here: 4 of 8 characters, sha256 9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab]gh'
    """
    if len(text) <= limit:
        return text
    half = limit // 2
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    told = f"[cut here: {len(text) - 2 * half} of {len(text)} characters, sha256 {digest}]"
    return f"{text[:half]}{told}{text[-half:]}"


@dataclass(slots=True)
class Meter:
    """What one cell has put out so far, and the text that waits to be sent together."""

    seen: int = 0
    sent: int = 0
    messages: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    waiting: dict[str, Any] | None = None

    @property
    def cut(self) -> bool:
        return self.seen > self.sent

    def room_for(self, told: bytes) -> int:
        """How many bytes of this message may leave."""
        self.digest.update(told)
        open_ = not self.cut and self.messages < CELL_MESSAGES
        room = max(CELL_BYTES - self.sent, 0) if open_ else 0
        self.seen += len(told)
        return min(room, len(told))


class Gate:
    """What is sent in place of `Session.send`. Called by the thread of the cells and by the one of the streams."""

    def __init__(self, send: Any, publisher: Any) -> None:
        self._send = send
        self._publisher = publisher
        self._meters: dict[str, Meter] = {}
        self._turn = threading.RLock()

    def send(
        self, stream: Any, message: Any, content: Any = None, parent: Any = None, ident: Any = None, **more: Any
    ) -> Any:
        more["ident"] = ident
        given = message if isinstance(message, dict) else {"msg_type": message, "content": content or {}}
        kind, cell = given["msg_type"], _cell(given.get("parent_header") or parent)
        if kind not in _OUTPUTS | {"status", "error", "execute_reply"} or not cell:
            return self._send(stream, message, content, parent, **more)
        with self._turn:
            meter = self._meters.setdefault(cell, Meter())
            if kind == "stream":
                return self._text(meter, stream, given, more)
            self._together(meter)
            if kind in _OUTPUTS:
                told = digest_of(kind, given["content"])
                if meter.room_for(told) < len(told):
                    return None
                meter.sent, meter.messages = meter.sent + len(told), meter.messages + 1
            elif kind == "status" and given["content"].get("execution_state") == "idle":
                self._tell(stream, self._meters.pop(cell), given.get("parent_header") or parent, more)
            else:
                _clip_error(given["content"])
            return self._send(stream, message, content, parent, **more)

    def _text(self, meter: Meter, stream: Any, given: dict[str, Any], more: dict[str, Any]) -> Any:
        told = digest_of("stream", given["content"])
        room = meter.room_for(told)
        if not room and told:
            return None
        kept = given["content"]["text"] if room == len(told) else told[:room].decode("utf-8", "ignore")
        meter.sent += room
        given = {**given, "content": {**given["content"], "text": kept}}
        if meter.messages < AT_ONCE:
            meter.messages += 1
            return self._send(stream, given, **more)
        self._gather(meter, stream, given, more)
        return None

    def _gather(self, meter: Meter, stream: Any, given: dict[str, Any], more: dict[str, Any]) -> None:
        """Add to the text that waits, or let that go and begin anew."""
        waiting = meter.waiting
        if waiting and waiting["name"] == given["content"]["name"] and waiting["size"] < TOGETHER:
            waiting["texts"].append(given["content"]["text"])
            waiting["size"] += len(given["content"]["text"])
            return
        self._together(meter)
        text, name = given["content"]["text"], given["content"]["name"]
        meter.waiting = {"name": name, "texts": [text], "size": len(text), "sent": (stream, given, more)}
        self._publisher.schedule(lambda: self._publisher.io_loop.call_later(TOGETHER_SECONDS, self._together, meter))

    def _together(self, meter: Meter) -> None:
        """Send the text that waits."""
        with self._turn:
            if meter.waiting is None:
                return
            waiting, meter.waiting = meter.waiting, None
            stream, given, more = waiting["sent"]
            content = {"name": waiting["name"], "text": "".join(waiting["texts"])}
            meter.messages += 1
            self._send(stream, {**given, "content": content}, **more)

    def _tell(self, stream: Any, meter: Meter, parent: Any, more: dict[str, Any]) -> None:
        """Say how much a cell has put out, where not all of it was sent."""
        if meter.cut:
            said = {"bytes": meter.seen, "sent": meter.sent, "sha256": meter.digest.hexdigest()}
            self._send(stream, CUT, said, parent, **more)


def _cell(parent: Any) -> str:
    """The request that a message belongs to."""
    header = (parent or {}).get("header", parent) or {}
    return str(header.get("msg_id") or "")


def _clip_error(content: dict[str, Any]) -> None:
    if isinstance(content.get("evalue"), str):
        content["evalue"] = clipped(content["evalue"])
    if isinstance(content.get("traceback"), list):
        trace = "\n".join(map(str, content["traceback"]))
        content["traceback"] = content["traceback"] if len(trace) <= LONGEST_ERROR else clipped(trace).split("\n")

"""What a person sees while a run goes on: the question that is being asked, and findings as soon as there are any.

On a terminal the question stands on one line that renews itself; elsewhere every line is printed once.
"""

import sys
import threading
import time
from typing import Any, TextIO

from ops_lib.model.journal import Event
from ops_lib.model.result import MIME_TYPE
from ops_lib.model.verdict import plain

_TICK_SECONDS = 0.2
_COLOURS = {"critical": "\x1b[1;31m", "warning": "\x1b[33m", "info": "\x1b[2m"}


class Progress:
    """Listens to a run, or is told what a long operation does. Used as a context."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._turn = threading.Lock()
        self._doing = ""
        self._began = self._since = time.monotonic()
        self._headings: dict[str, str] = {}
        self._seen: set[str] = set()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        if self._terminal:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._terminal:
            self._ticker.join()
            self._write("\r\x1b[K")

    def __call__(self, event: Event) -> None:
        """Take one event of a run's journal into account."""
        match event["kind"]:
            case "planned":
                self._headings = {cell["id"]: cell["heading"] or "" for cell in event["cells"]}
                self.say("starting a kernel")
            case "cell-began":
                self.say(self._headings.get(event["cell"]) or "reading the runbook")
            case "output" if MIME_TYPE in event["content"].get("data", {}):
                self._found(event["content"]["data"][MIME_TYPE]["findings"])
            case "step-began":
                self.say(f"step {event['name']}")
            case "queued":
                self.say(f"waiting: the target is being changed by {event['behind']}")
            case "stopping" if event["after"]:
                self.say(f"stopping after step {event['after']!r}; Ctrl-C again stops at once")
            case "stopping":
                self.say("stopping")

    def say(self, doing: str) -> None:
        """What is being done from now on."""
        doing = plain(doing)
        with self._turn:
            if doing == self._doing:
                return
            self._doing, self._since = doing, time.monotonic()
        self._draw() if self._terminal else self._write(f"{self._elapsed()}  {doing}\n")

    def _found(self, findings: list[dict[str, Any]]) -> None:
        for finding in findings:
            if finding["severity"] != "info" and finding["key"] not in self._seen:
                self._seen.add(finding["key"])
                self._line(finding["severity"], plain(finding["summary"]))

    def _line(self, severity: str, text: str) -> None:
        if self._terminal:
            self._write(f"\r\x1b[K{_COLOURS[severity]}{severity:>8}\x1b[0m  {text[:100]}\n")
            self._draw()
        else:
            self._write(f"{self._elapsed()}  {severity}: {text}\n")

    def _tick(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            self._draw()

    def _draw(self) -> None:
        if self._doing and not self._ended.is_set():
            self._write(f"\r\x1b[K\x1b[2m{self._elapsed()}\x1b[0m  {self._doing[:100]}")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:7.1f} s"

    def _write(self, text: str) -> None:
        with self._turn:
            self._stream.write(text)
            self._stream.flush()

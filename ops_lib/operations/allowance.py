"""How much of one run is stored: outputs by cell and by run, what is told over the step channel, attachments.

Journal, notebook, report and record hold the same outputs, so a run stores up to about four times what it may put out,
and stays under 64 MB in all.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ops_lib.model.ledger import canonical
from ops_lib.model.result import MIME_TYPE
from ops_lib.notebooks.floodgate import CELL_BYTES, clipped, digest_of

OUTPUT_LIMIT = 10 << 20
RESULT_LIMIT = 2 << 20
CELL_OUTPUT_LIMIT = CELL_BYTES
CELL_FLOOR = 16 << 10
MESSAGE_OVERHEAD = 200
TOLD_LIMIT = 2 << 20
LONGEST_TOLD = 64 << 10
ATTACHMENT_LIMIT = 12 << 20


class Allowance:
    """What a run may still store."""

    def __init__(self) -> None:
        self.outputs = OUTPUT_LIMIT
        self.results = RESULT_LIMIT
        self.told = TOLD_LIMIT
        self.attachments = ATTACHMENT_LIMIT
        self.untold = 0

    def tell(self, text: str) -> str | None:
        """A statement or a remark as it is kept; nothing once a run has told too much."""
        kept = clipped(text, LONGEST_TOLD)
        size = len(kept.encode("utf-8", "replace")) + MESSAGE_OVERHEAD
        if size > self.told:
            self.untold += 1
            return None
        self.told -= size
        return kept


class Meter:
    """What one cell may still store, and what was dropped, with a digest of all that it has put out.

    A cell may use half of what those before it have left, and always a little. Results have an allowance of their own,
    and errors are always kept: a flood hides neither what was found nor why a cell failed.
    """

    def __init__(self, run: Allowance, limit: int = CELL_OUTPUT_LIMIT) -> None:
        self._run = run
        self._left = min(limit, max(run.outputs // 2, CELL_FLOOR))
        self._digest = hashlib.sha256()
        self._seen = 0
        self._kept = 0
        self._said: Mapping[str, Any] | None = None

    def take(self, kind: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What is kept of an output: all of it, the beginning of a text, or nothing."""
        told = digest_of(kind, content)
        cut_before = self._seen > self._kept
        self._digest.update(told)
        self._seen += len(told)
        rest = {name: value for name, value in content.items() if name != "data"}
        size = (len(told) if "data" in content else 0) + len(canonical(rest)) + MESSAGE_OVERHEAD
        if MIME_TYPE in (content.get("data") or {}) and size <= self._run.results:
            self._run.results -= size
        elif kind == "error":
            content = _short_error(content)
        elif cut_before or size > self._left:
            return self._beginning(content, size) if kind == "stream" and not cut_before else None
        else:
            self._charge(size)
        self._kept += len(told)
        return content

    def said(self, content: Mapping[str, Any]) -> None:
        """The kernel has said how much the cell has put out in all."""
        self._said = content

    @property
    def cut(self) -> dict[str, Any] | None:
        """How much there was and how much was kept, where that is not the same."""
        if self._said is None and self._seen == self._kept:
            return None
        whole = self._said or {"bytes": self._seen, "sha256": self._digest.hexdigest()}
        return {"bytes": whole["bytes"], "sent": self._kept, "sha256": whole["sha256"]}

    def _beginning(self, content: Mapping[str, Any], size: int) -> Mapping[str, Any] | None:
        room = max(self._left - MESSAGE_OVERHEAD, 0)
        text = content["text"][: room * len(content["text"]) // size]
        if not text:
            return None
        self._kept += len(text.encode("utf-8", "replace"))
        self._charge(self._left)
        return {**content, "text": text}

    def _charge(self, size: int) -> None:
        self._left -= size
        self._run.outputs = max(self._run.outputs - size, 0)


def _short_error(content: Mapping[str, Any]) -> dict[str, Any]:
    trace = "\n".join(map(str, content.get("traceback") or []))
    kept = content.get("traceback") or []
    if len(trace) > LONGEST_TOLD:
        kept = clipped(trace, LONGEST_TOLD).split("\n")
    return {**content, "evalue": clipped(str(content.get("evalue", "")), LONGEST_TOLD), "traceback": kept}

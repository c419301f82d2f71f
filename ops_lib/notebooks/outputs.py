"""The outputs of a notebook's cells, built up message by message as Jupyter's protocol says.

The same rules serve a notebook that is running and one that is put together from a journal afterwards.
Source: "Messaging in Jupyter", sections on IOPub (stream, display_data, update_display_data, clear_output).
"""

from collections.abc import Mapping
from typing import Any

from ops_lib.notebooks.floodgate import CUT

OUTPUT_TYPES = frozenset(
    {"stream", "display_data", "execute_result", "error", "update_display_data", "clear_output", CUT}
)

Output = dict[str, Any]


def cut_sentence(content: Mapping[str, Any]) -> str:
    """What a reader is told where not all that a cell has put out was kept.

    >>> cut_sentence({"bytes": 2000, "sent": 500, "sha256": "ab"}).strip()
    '[cut here: 500 of the 2,000 bytes that this cell put out are kept; sha256 of all of them ab]'
    """
    kept = f"{content['sent']:,} of the {content['bytes']:,} bytes that this cell put out are kept"
    return f"\n[cut here: {kept}; sha256 of all of them {content['sha256']}]\n"


class Outputs:
    """The output lists of all cells of one notebook, by cell id."""

    def __init__(self) -> None:
        self._of_cell: dict[str, list[Output]] = {}
        self._displays: dict[str, list[Output]] = {}
        self._clear_first: set[str] = set()

    def of(self, cell: str) -> list[Output]:
        """The outputs of a cell so far."""
        return [_joined(output) for output in self._of_cell.get(cell, [])]

    def apply(self, cell: str, kind: str, content: Mapping[str, Any]) -> None:
        """Take one message into account."""
        outputs = self._of_cell.setdefault(cell, [])
        if kind == "clear_output":
            self._clear_first.add(cell)
            if not content.get("wait"):
                self._clear(cell)
            return
        if kind == "update_display_data":
            self._update(content)
            return
        if cell in self._clear_first:
            self._clear(cell)
        if kind == "stream":
            _add_stream(outputs, content)
        elif kind == CUT:
            _add_stream(outputs, {"name": "stderr", "text": cut_sentence(content)})
        else:
            self._add(outputs, kind, content)

    def _add(self, outputs: list[Output], kind: str, content: Mapping[str, Any]) -> None:
        if kind == "error":
            names = ("ename", "evalue", "traceback")
            outputs.append({"output_type": kind, **{name: content.get(name, "") for name in names}})
            return
        output: Output = {"output_type": kind, "data": content["data"], "metadata": content.get("metadata", {})}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        display = (content.get("transient") or {}).get("display_id")
        if display:
            self._displays.setdefault(display, []).append(output)
        outputs.append(output)

    def _update(self, content: Mapping[str, Any]) -> None:
        display = (content.get("transient") or {}).get("display_id")
        for output in self._displays.get(display or "", []):
            output.update(data=content["data"], metadata=content.get("metadata", {}))

    def _clear(self, cell: str) -> None:
        self._of_cell[cell].clear()
        self._clear_first.discard(cell)


def _add_stream(outputs: list[Output], content: Mapping[str, Any]) -> None:
    """Collect the pieces of a stream; they are joined once, since a flood has many."""
    if not (outputs and outputs[-1]["output_type"] == "stream" and outputs[-1]["name"] == content["name"]):
        outputs.append({"output_type": "stream", "name": content["name"], "text": []})
    outputs[-1]["text"].append(content["text"])


def _joined(output: Output) -> Output:
    return {**output, "text": "".join(output["text"])} if output["output_type"] == "stream" else output

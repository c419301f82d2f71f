"""The outputs of a notebook's cells, built up message by message as Jupyter's protocol says.

The same rules serve a notebook that is running and one that is put together from a journal afterwards.
Source: "Messaging in Jupyter", sections on IOPub (stream, display_data, update_display_data, clear_output).
"""

from collections.abc import Mapping
from typing import Any

OUTPUT_TYPES = frozenset({"stream", "display_data", "execute_result", "error", "update_display_data", "clear_output"})

Output = dict[str, Any]


class Outputs:
    """The output lists of all cells of one notebook, by cell id."""

    def __init__(self) -> None:
        self.of_cell: dict[str, list[Output]] = {}
        self._displays: dict[str, list[Output]] = {}
        self._clear_first: set[str] = set()

    def apply(self, cell: str, kind: str, content: Mapping[str, Any]) -> None:
        """Take one message into account."""
        outputs = self.of_cell.setdefault(cell, [])
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
        self.of_cell[cell].clear()
        self._clear_first.discard(cell)


def _add_stream(outputs: list[Output], content: Mapping[str, Any]) -> None:
    if outputs and outputs[-1]["output_type"] == "stream" and outputs[-1]["name"] == content["name"]:
        outputs[-1]["text"] += content["text"]
    else:
        outputs.append({"output_type": "stream", "name": content["name"], "text": content["text"]})

"""A runbook's notebook on its way through a run: prepared, executed, and put together from the journal."""

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ops_lib.model.errors import KernelDied
from ops_lib.model.journal import Event
from ops_lib.model.run import CellStatus
from ops_lib.notebooks.front_matter import source_of
from ops_lib.notebooks.outputs import Outputs
from ops_lib.notebooks.parameters import tags

if TYPE_CHECKING:
    from ops_lib.notebooks.engine import Observer
    from ops_lib.notebooks.kernel import Kernel

Notebook = dict[str, Any]
INJECTED = "injected-parameters"


def prepare(notebook: Mapping[str, Any], binding: str) -> Notebook:
    """The notebook that will be executed: without outputs, with the bound parameters in a cell of their own."""
    prepared = copy.deepcopy(dict(notebook))
    cells = []
    for number, cell in enumerate(prepared["cells"]):
        cell.setdefault("id", f"cell-{number}")
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        cells.append(cell)
        if binding and "parameters" in tags(cell):
            cells.append(_code_cell(INJECTED, binding))
    return {**prepared, "cells": cells, "nbformat": 4, "nbformat_minor": 5}


def _code_cell(name: str, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": name, "metadata": {"tags": [name]}, "source": source, "outputs": [],
        "execution_count": None,
    }  # fmt: skip


def planned_cells(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The code cells in order, each under the nearest heading above it."""
    planned = []
    heading = None
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            lines = source_of(cell).splitlines()
            heading = next((line.lstrip("#").strip() for line in lines if line.startswith("#")), heading)
        elif cell["cell_type"] == "code":
            planned.append({"id": cell["id"], "heading": heading})
    return planned


def execute(notebook: Mapping[str, Any], kernel: "Kernel", observer: "Observer") -> None:
    """Run every cell in a kernel; ends early where a cell fails. KernelDied where the kernel goes away.

    papermill's engines are asked for ours, as `papermill --engine runbook` does. What its command does around that, we
    do otherwise: parameters are bound, errors are told to the observer, and nothing is saved.
    """
    load_papermill()
    from nbclient.exceptions import DeadKernelError  # noqa: PLC0415
    from nbformat import from_dict  # noqa: PLC0415
    from nbformat.v4.rwbase import rejoin_lines  # noqa: PLC0415
    from papermill.engines import papermill_engines  # noqa: PLC0415

    executed = rejoin_lines(from_dict({**notebook, "metadata": {**notebook["metadata"], "papermill": {}}}))
    given = {"kernel_name": "python3", "kernel": kernel, "observer": observer, "progress_bar": False}
    try:
        papermill_engines.execute_notebook_with_engine("runbook", executed, **given)
    except DeadKernelError:
        raise KernelDied("the kernel died", hint="out of memory, killed, or crashed: see the last cell") from None
    except RuntimeError as error:
        if "Kernel died" not in str(error):
            raise
        raise KernelDied("the kernel died before it was ready", hint=str(error)) from None


def load_papermill() -> None:
    """Import papermill without what costs it most."""
    # jupyterlab brings rfc3987_syntax, which compiles 35 grammars at import (0.7 s) for a check that a notebook's
    # schema never asks for; jsonschema does without it where it is missing.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import papermill  # noqa: F401, PLC0415


def assemble(prepared: Notebook, events: Sequence[Event]) -> Notebook:
    """The notebook as it ran, from what was prepared and what was journalled."""
    outputs = Outputs()
    for event in events:
        if event["kind"] == "output":
            outputs.apply(event["cell"], event["type"], event["content"])
    statuses = {event["cell"]: event for event in events if event["kind"] == "cell-ended"}
    began = {event["cell"] for event in events if event["kind"] == "cell-began"}
    executed = copy.deepcopy(prepared)
    for cell in executed["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = outputs.of(cell["id"])
            ended = statuses.get(cell["id"], {})
            default = CellStatus.FAILED if cell["id"] in began else CellStatus.NOT_RUN
            cell["metadata"]["runbook"] = {
                **cell["metadata"].get("runbook", {}),
                "status": ended.get("status", default.value),
                "seconds": ended.get("seconds"),
            }
    return executed

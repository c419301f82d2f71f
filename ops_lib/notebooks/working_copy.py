"""A copy of a runbook to work in: the reviewed file is never written, whatever Jupyter saves."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KERNEL = "runbook"
SEAL_CELL = "runbook-seal"
_SEAL_PROSE = "Done? This makes the record; until then nothing is sealed. What was done by hand goes into `note(...)`."


def working_copy(prepared: Mapping[str, Any], shown_as: str) -> dict[str, Any]:
    """A prepared notebook with our kernel, and with a last cell that seals the run."""
    seal = {**_cell(SEAL_CELL, "code", "seal()"), "outputs": [], "execution_count": None}
    prose = _cell(f"{SEAL_CELL}-prose", "markdown", _SEAL_PROSE)
    spec = {"name": KERNEL, "display_name": shown_as, "language": "python"}
    metadata = {**prepared.get("metadata", {}), "kernelspec": spec}
    return {**prepared, "cells": [*prepared["cells"], prose, seal], "metadata": metadata}


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    return {"cell_type": kind, "id": name, "metadata": {}, "source": source}


def write_kernel(folder: Path, command: Sequence[str], shown_as: str) -> None:
    """The description of our kernel, below a folder that goes into JUPYTER_PATH."""
    described = {
        "argv": [*command, "{connection_file}"], "display_name": shown_as, "language": "python",
        "interrupt_mode": "message",
    }  # fmt: skip
    place = folder / "kernels" / KERNEL
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(described), encoding="utf-8")


def jupyter_command(root: Path, file: str, *, as_root: bool, browser: bool, more: Sequence[str] = ()) -> list[str]:
    """How JupyterLab is started on one notebook, with our kernel only and time to seal when it ends."""
    return [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{file}",
        f"--MultiKernelManager.default_kernel_name={KERNEL}", f"--KernelSpecManager.allowed_kernelspecs={KERNEL}",
        "--KernelSpecManager.ensure_native_kernel=False", "--KernelManager.shutdown_wait_time=60",
        "--MappingKernelManager.kernel_info_timeout=300", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if as_root else []), *([] if browser else ["--no-browser"]), *more,
    ]  # fmt: skip

"""A kernel that was forked and a plain one say the same, cell by cell."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ops_lib.model.run import RUN_VARIABLE, CellStatus
from ops_lib.notebooks.claim import NoneWaits
from ops_lib.notebooks.execution import execute
from ops_lib.notebooks.kernel import Kernel, StartedKernel
from ops_lib.notebooks.outputs import Outputs
from tests.notebooks.conformance import CELLS, notebook
from tests.notebooks.warmth import RUN, Server, fork_server, scratch

DIFFERENT = re.compile(r"0x[0-9a-f]+|/tmp/[\w./-]+|Cell In\[\d+\]|ipykernel_\d+/\d+|\d+\.\d+ [mµn]?s")


class _Heard:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.outputs = Outputs()

    def cell_began(self, cell: str) -> None:
        pass

    def output(self, cell: str, kind: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        self.outputs.apply(cell, kind, content)
        return content

    def cell_ended(self, cell: str, status: CellStatus, seconds: float) -> None:
        pass


@pytest.fixture(scope="module")
def forks() -> Iterator[Server]:
    """A fork server for all of this module."""
    with fork_server(1) as server:
        yield server


@pytest.fixture(scope="module")
def both(forks: Server) -> tuple[Outputs, Outputs]:
    """What the cells say in a kernel as anybody starts one, without what ours are told, and in one that was forked."""
    given = {**os.environ, RUN_VARIABLE: RUN, "CONFORMANCE": "told"}
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr("ops_lib.notebooks.kernel.ARGUMENTS", ())
        said = _outputs(StartedKernel(scratch(), given))
    return said, _outputs(forks.claim(scratch(), CONFORMANCE="told"))


def _outputs(kernel: Kernel) -> Outputs:
    heard = _Heard()
    try:
        execute(notebook(), kernel, heard)
    finally:
        kernel.end()
    return heard.outputs


@pytest.mark.parametrize("about", CELLS)
def test_a_cell_says_the_same_in_a_fork(both: tuple[Outputs, Outputs], about: str) -> None:
    """Pictures byte for byte; addresses, times and temporary names apart."""
    identity = about.replace(" ", "-").replace("/", "")
    started, forked = (_comparable(outputs.of(identity)) for outputs in both)
    assert forked == started


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return DIFFERENT.sub("…", value)
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}
    return value


def test_a_module_in_the_runs_folder_is_not_passed_over(
    forks: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that imported another module of that name cannot stand in for a fresh one."""
    (tmp_path / "pandas.py").write_text("mine = True\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoneWaits, match="module"):
        forks.claim(scratch()).start()

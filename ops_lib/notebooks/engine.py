"""Our papermill engine: executes the cells of a notebook and tells an observer what happens as it happens.

papermill itself stores cells that never ran as completed when a kernel dies, and rewrites its file in place at every
cell. Here a cell that did not run stays `pending`, and nothing is saved while the notebook runs: whoever observes
stores.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager

from ops_lib.model.run import CellStatus
from ops_lib.notebooks.kernel import PYTHON, Kernel
from ops_lib.notebooks.outputs import OUTPUT_TYPES, Outputs


class Observer(Protocol):
    """Who is told what happens in a kernel, cell by cell, and answers what is kept of an output."""

    def cell_began(self, cell: str) -> None: ...

    def output(self, cell: str, kind: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None: ...

    def cell_ended(self, cell: str, status: CellStatus, seconds: float) -> None: ...


class KeepsEverything:
    """The observer of a notebook that papermill's own command executes."""

    def cell_began(self, cell: str) -> None:
        pass

    def output(self, cell: str, kind: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return content

    def cell_ended(self, cell: str, status: CellStatus, seconds: float) -> None:
        pass


class RunbookEngine(Engine):  # type: ignore[misc]
    """Registered as `runbook`, so that `papermill --engine runbook in.ipynb out.ipynb` works for anyone."""

    @classmethod
    def execute_notebook(
        cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **kwargs: Any
    ) -> NotebookNode:
        manager = _Manager(nb, output_path=output_path, progress_bar=kwargs.pop("progress_bar", False))
        kwargs.pop("autosave_cell_every", None)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **kwargs)
        finally:
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        kernel: Kernel | None = None,
        observer: Observer | None = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Execute in a given kernel, or in one of our own that ends with the notebook."""
        ours = kernel or Kernel(Path(tempfile.mkdtemp(prefix="runbook-")), os.environ, name=kernel_name or PYTHON)
        wanted = ("log_output", "stdout_file", "stderr_file")
        try:
            _Client(
                nb_man,
                km=ours.manager,
                observer=observer or KeepsEverything(),
                timeout=execution_timeout,
                startup_timeout=start_timeout,
                **{name: kwargs[name] for name in wanted if name in kwargs},
            ).execute(**ours.start_arguments())
        finally:
            if kernel is None:
                ours.end()


class _Manager(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's bookkeeping without its saves, and without calling completed what never ran."""

    def save(self, **kwargs: Any) -> None:
        pass

    def autosave_cell(self, **kwargs: Any) -> None:
        pass

    def notebook_complete(self, **kwargs: Any) -> None:
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self.complete_pbar()
        self.cleanup_pbar()


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """Drives the kernel cell by cell, and passes every output through the observer before it is kept."""

    def __init__(self, nb_man: _Manager, *, observer: Observer, **kwargs: Any) -> None:
        super().__init__(nb_man, **kwargs)
        self._observer = observer
        self._outputs = Outputs()

    def execute(self, **kwargs: Any) -> NotebookNode:
        try:
            return super().execute(**kwargs)
        finally:
            if self.kc is not None:
                self.kc.stop_channels()

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            if cell.cell_type == "code" and not self._execute(cell, index):
                break
            self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)

    def _execute(self, cell: NotebookNode, index: int) -> bool:
        """Whether the cell ran to its end; what is no error of the cell (a dead kernel) is raised."""
        began = time.monotonic()
        identity = _identity(cell, index)
        self._observer.cell_began(identity)
        try:
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            self._observer.cell_ended(identity, CellStatus.FAILED, time.monotonic() - began)
            return False
        finally:
            cell.outputs = [NotebookNode(output) for output in self._outputs.of_cell.get(identity, [])]
        self._observer.cell_ended(identity, CellStatus.OK, time.monotonic() - began)
        return True

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        if msg["msg_type"] not in OUTPUT_TYPES:
            return super().process_message(msg, cell, cell_index)
        identity = _identity(cell, cell_index)
        kept = self._observer.output(identity, msg["msg_type"], msg["content"])
        if kept is not None:
            self._outputs.apply(identity, msg["msg_type"], kept)
            self._show(msg["msg_type"], kept)
        return None

    def _show(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "stream" and (self.log_output or self.stdout_file or self.stderr_file):
            self.log_output_message(NotebookNode(output_type=kind, **content))


def _identity(cell: NotebookNode, index: int) -> str:
    """The cell's id, or its place where the notebook is older than ids."""
    return str(cell.get("id", index))

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

from nbclient.client import timestamp
from nbclient.exceptions import CellExecutionComplete, CellExecutionError, CellTimeoutError
from nbformat import NotebookNode, from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, catch_nb_assignment
from papermill.log import logger

from ops_lib.model.run import CellStatus
from ops_lib.notebooks.kernel import PYTHON, Kernel, StartedKernel
from ops_lib.notebooks.outputs import OUTPUT_TYPES, Outputs
from ops_lib.notebooks.wire import SHELL, Wire

OUTPUT_SECONDS = 60
"""How long the outputs of a cell may take to arrive once it has ended; a flood takes a while to be stored."""

_ALSO_PYTHON = (None, "", "python")
_PASSED_ON = ("log_output", "stdout_file", "stderr_file")
_EXECUTE = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}


class Observer(Protocol):
    """Who is told what happens in a kernel, cell by cell, and answers what the notebook itself keeps of an output."""

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
        shown = {"progress_bar": kwargs.pop("progress_bar", False), "log_output": kwargs.get("log_output", False)}
        manager = Manager(nb, output_path=output_path, **shown)
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
        ours = kernel or cls.kernel(PYTHON if kernel_name in _ALSO_PYTHON else kernel_name)
        wanted = {name: kwargs[name] for name in _PASSED_ON if name in kwargs}
        logger.info(f"Executing notebook with kernel: {kernel_name}")
        client = Client(nb_man, log=logger, observer=observer, timeout=execution_timeout, **wanted)
        try:
            client.execute_in(ours, start_timeout)
        finally:
            if kernel is None:
                ours.end()

    @classmethod
    def kernel(cls, name: str) -> Kernel:
        """The kernel of a notebook for which nobody else has one."""
        return StartedKernel(Path(tempfile.mkdtemp(prefix="runbook-")), os.environ, name=name)


class Manager(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's bookkeeping without its saves, and without calling completed what never ran."""

    @catch_nb_assignment  # type: ignore[untyped-decorator]
    def save(self, **kwargs: Any) -> None:
        pass

    def autosave_cell(self, **kwargs: Any) -> None:
        pass

    @catch_nb_assignment  # type: ignore[untyped-decorator]
    def notebook_complete(self, **kwargs: Any) -> None:
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        if self.start_time:
            self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self.complete_pbar()
        self.cleanup_pbar()
        self.save()


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Drives the kernel cell by cell, and passes every output through the observer before it is kept.

    What a cell is and what becomes of an error is nbclient's; how messages travel is ours.
    """

    def __init__(self, nb_man: Manager, *, observer: Observer | None = None, **kwargs: Any) -> None:
        super().__init__(nb_man, iopub_timeout=OUTPUT_SECONDS, **kwargs)
        self._observer = observer or KeepsEverything()
        self._outputs = Outputs()
        self._wire: Wire

    def execute_in(self, kernel: Kernel, start_seconds: float) -> None:
        """Execute the notebook in a kernel that is started here, and that the caller ends."""
        self.reset_execution_trackers()
        self._wire = Wire(kernel.start(), kernel.ended)
        try:
            self.nb.metadata["language_info"] = self._wire.ready(start_seconds)["language_info"]
            self.papermill_execute_cells()
            self.set_widgets_metadata()
        finally:
            self._wire.close()
            self._keep_outputs()

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            try:
                if cell.cell_type == "code" and not self._execute(cell, index):
                    break
            finally:
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
        self._observer.cell_ended(identity, CellStatus.OK, time.monotonic() - began)
        return True

    def execute_cell(self, cell: NotebookNode, cell_index: int) -> None:
        """CellExecutionError where the cell raises and may not; DeadKernelError where the kernel goes away."""
        tags = cell.metadata.get("tags", [])
        if not cell.source.strip() or self.skip_cells_with_tag in tags:
            return
        cell.metadata["execution"] = {}
        allowed = self.allow_errors or "raises-exception" in tags
        request = self._wire.request("execute_request", {**_EXECUTE, "code": cell.source, "stop_on_error": not allowed})
        reply = self._until_done(request, cell, cell_index)
        if reply["status"] == "error" and not (allowed or reply.get("ename") in self.allow_error_names):
            raise CellExecutionError.from_cell_and_msg(cell, reply)

    def _until_done(self, request: str, cell: NotebookNode, index: int) -> dict[str, Any]:
        """The reply, once the kernel has also said that it is idle: then every output has arrived."""
        limit = self.timeout if self.timeout and self.timeout > 0 else None
        deadline = time.monotonic() + limit if limit else None
        reply: dict[str, Any] | None = None
        idle = False
        while reply is None or not idle:
            got = self._wire.next(deadline if reply is None else time.monotonic() + OUTPUT_SECONDS)
            if got is None:
                raise CellTimeoutError.error_from_timeout_and_cell("A cell timed out", limit or OUTPUT_SECONDS, cell)
            channel, message = got
            if message["parent_header"].get("msg_id") != request:
                continue
            if channel == SHELL:
                reply = message["content"]
                cell.metadata["execution"]["shell.execute_reply"] = timestamp(message)
                continue
            try:
                self.process_message(message, cell, index)
            except CellExecutionComplete:
                idle = True
        return reply

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        if msg["msg_type"] not in OUTPUT_TYPES:
            return super().process_message(msg, cell, cell_index)
        if "execution_count" in msg["content"]:
            cell["execution_count"] = msg["content"]["execution_count"]
        identity = _identity(cell, cell_index)
        kept = self._observer.output(identity, msg["msg_type"], msg["content"])
        if kept is not None:
            self._outputs.apply(identity, msg["msg_type"], kept)
            self._show(msg["msg_type"], kept)
        return None

    def _show(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "stream" and (self.log_output or self.stdout_file or self.stderr_file):
            self.log_output_message(NotebookNode(output_type=kind, **content))

    def _keep_outputs(self) -> None:
        """Put the outputs into the notebook at the end: a later cell may have updated what an earlier one shows."""
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type == "code":
                cell.outputs = [from_dict(output) for output in self._outputs.of(_identity(cell, index))]


def _identity(cell: NotebookNode, index: int) -> str:
    """The cell's id, or its place where the notebook is older than ids."""
    return str(cell.get("id", index))

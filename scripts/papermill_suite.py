"""papermill's own tests, with our engine, execution manager and client in the place of its own.

    python scripts/papermill_suite.py [FOLDER]

They are taken from the source distribution of the version that is installed, which pip downloads into FOLDER (a
temporary one unless told otherwise), and stay there.
"""

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

MODULES = ("engines", "clientwrap", "parameterize", "execute", "exceptions", "inspect", "translators")
DO_NOT_APPLY = {
    "TestNotebookExecutionManager::test_save": "nothing is saved while a notebook runs",
    "::test_notebook_complete": "saves; a cell that never ran stays pending",
    "::test_notebook_complete_cell_status_completed": "a cell that never ran stays pending",
    "::test_notebook_complete_cell_status_with_failed": "a cell that never ran stays pending",
    "::test_no_cell_callback_execute": "a cell of which nobody said that it ran stays pending",
    "::test_nb_convert_engine": "the kernel is not driven by nbclient",
    "::test_start_timeout": "the kernel is not driven by nbclient",
    "::test_default_start_timeout": "the kernel is not driven by nbclient",
    "TestBrokenNotebook2::test": "imports what IPython 9 no longer has, so it fails with papermill's own engine too",
}
"""Tests of what our engine does otherwise on purpose, with the reason."""


def unpacked(folder: Path) -> Path:
    """The source distribution's folder."""
    wanted = f"papermill=={version('papermill')}"
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-binary", "papermill"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, "-d", folder, wanted], check=True)
    with tarfile.open(next(folder.glob("papermill-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.glob("papermill-*") if path.is_dir())


def stand_in(source: Path) -> None:
    """Put ours where papermill's tests look for its own, and those tests where papermill's package looks for them."""
    from ops_lib.notebooks.execution import load_papermill  # noqa: PLC0415

    load_papermill()
    import papermill  # noqa: PLC0415

    papermill.__path__.insert(0, str(source / "papermill"))
    from papermill import clientwrap, engines  # noqa: PLC0415

    from ops_lib.notebooks.engine import Client, Manager, RunbookEngine  # noqa: PLC0415

    clientwrap.PapermillNotebookClient = engines.PapermillNotebookClient = Client
    engines.NotebookExecutionManager, engines.NBClientEngine = Manager, RunbookEngine
    for name in (None, "nbclient"):
        engines.papermill_engines.register(name, RunbookEngine)


class LeaveOut:
    """Says which tests do not apply, and why."""

    def pytest_collection_modifyitems(self, items: Iterable[Any]) -> None:
        for item in items:
            for name, reason in DO_NOT_APPLY.items():
                if item.nodeid.endswith(name):
                    item.add_marker(pytest.mark.skip(reason=reason))


def main(folder: Path) -> int:
    source = unpacked(folder)
    stand_in(source)
    tests = [str(source / f"papermill/tests/test_{name}.py") for name in MODULES]
    options = [
        "-q",
        "-rfEs",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        f"--rootdir={source}",
        "--import-mode=prepend",
    ]
    return int(pytest.main([*options, *tests], plugins=[LeaveOut()]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="papermill-suite-") as made:
        sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(made)))

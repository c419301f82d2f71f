"""What the daemon imports before it forks for the first time, so that no run imports it."""

import importlib
import os
from pathlib import Path

from ops_lib.daemon.server import Daemon, Main
from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks.cleaning import code_html
from ops_lib.notebooks.execution import load_papermill
from ops_lib.notebooks.rendering import environment
from ops_lib.operations.provenance import software
from ops_lib.wiring import kernels_that_wait, scratch_folder

MODULES = (
    "ops_lib.archive.indexing", "ops_lib.model.telling", "ops_lib.model.verdict", "ops_lib.notebooks.claim",
    "ops_lib.notebooks.engine", "ops_lib.notebooks.report", "ops_lib.operations.recover", "ops_lib.operations.run",
    "ops_lib.postgres.server", "yaml",
)  # fmt: skip
"""Each brings what it needs; nothing of a team's own is here, which a run must read anew."""


def preload(main: Main, address: Path, lock: int) -> Daemon:
    """A daemon in a process that has everything."""
    load_papermill()
    for name in MODULES:
        importlib.import_module(name)
    for name in environment().list_templates():
        environment().get_template(name)
    code_html("warm = True")
    software()
    os.umask(0o077)
    scratch = scratch_folder(address.stem)
    return Daemon(main, address, lock, kernels=kernels_that_wait(), variable=RUN_VARIABLE, scratch=scratch)

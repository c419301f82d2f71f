"""What papermill finds under the name `runbook`.

papermill loads every registered engine while it is itself being imported, when ours, which is built on papermill's,
cannot be defined yet. So what it gets is a stand-in that fetches the engine on first use.
"""

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ops_lib.daemon import client


class _Deferred:
    def __getattr__(self, name: str) -> Any:
        return getattr(_engine(), name)


@cache
def _engine() -> Any:
    from ops_lib import wiring  # noqa: PLC0415
    from ops_lib.notebooks.engine import RunbookEngine  # noqa: PLC0415
    from ops_lib.notebooks.kernel import PYTHON, Kernel  # noqa: PLC0415

    class Engine(RunbookEngine):
        """The engine with the kernels that wait here, if there are any; where not, some will for the next notebook."""

        @classmethod
        def kernel(cls, name: str) -> Kernel:
            if name != PYTHON:
                return super().kernel(name)
            if client.may_be_used(os.environ) and not wiring.kernels_address().exists():
                atexit.register(client.start, dict(os.environ))
            return wiring.nearest_kernel(Path(tempfile.mkdtemp(prefix="runbook-")), os.environ)

    return Engine


engine = _Deferred()

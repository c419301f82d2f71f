"""What papermill finds under the name `runbook`.

papermill loads every registered engine while it is itself being imported, when ours, which is built on papermill's,
cannot be defined yet. So what it gets is a stand-in that fetches the engine on first use.
"""

from typing import Any


class _Deferred:
    def __getattr__(self, name: str) -> Any:
        from ops_lib.notebooks.engine import RunbookEngine  # noqa: PLC0415

        return getattr(RunbookEngine, name)


engine = _Deferred()

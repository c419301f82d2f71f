"""What the suites of `make test-crash` count: collected by whoever runs the tests, one process or several.

RUNBOOK_CRASH=whole makes them whole, else they are a random sample, which RUNBOOK_SEED repeats. What was tried, and
what that found, is printed at the end; RUNBOOK_CRASH_FIGURES names a file that gets it too, from which
`python -m tests.crash.report` makes the document's tables.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

WHOLE = os.environ.get("RUNBOOK_CRASH") == "whole"
_SESSION = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{time.time_ns():x}"
SEED = int(os.environ.get("RUNBOOK_SEED") or int(_SESSION[-8:], 16) % 1_000_000_000)
"""The same in every process of a session."""

_FIGURES: dict[str, list[dict[str, Any]]] = {}
_SEEDS: list[int] = []


class Figures:
    """What the suites counted, for the summary at the end and for the document."""

    def add(self, table: str, **row: Any) -> None:
        """One row of a table."""
        _FIGURES.setdefault(table, []).append(row)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands its tables on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = _FIGURES
        session.config.workeroutput["seed"] = SEED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The process that prints the summary takes them."""
    for table, rows in getattr(node, "workeroutput", {}).get("figures", {}).items():
        _FIGURES.setdefault(table, []).extend(rows)
    _SEEDS.extend(filter(None, [getattr(node, "workeroutput", {}).get("seed")]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every table of this session, and the seed that repeats it."""
    if not _FIGURES:
        return
    seed = _SEEDS[0] if _SEEDS else SEED
    terminalreporter.section(f"faults, {'whole' if WHOLE else 'a sample'}, RUNBOOK_SEED={seed}")
    for table, rows in _FIGURES.items():
        terminalreporter.write_line(f"{table}:")
        for row in rows:
            terminalreporter.write_line("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    if target := os.environ.get("RUNBOOK_CRASH_FIGURES"):
        Path(target).write_text(json.dumps({"seed": seed, "whole": WHOLE, "tables": _FIGURES}, indent=1) + "\n")

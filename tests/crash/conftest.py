"""The suites of `make test-crash`: whole with RUNBOOK_CRASH=whole, a random sample of them otherwise.

RUNBOOK_SEED repeats a sample. How many trials were made, and what they found, is printed at the end; whole runs leave
it in the file that RUNBOOK_CRASH_FIGURES names, from which `python -m tests.crash.report` makes the document's tables.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import medium
from tests.crash.pool import Pool

WHOLE = os.environ.get("RUNBOOK_CRASH") == "whole"
SEED = int(os.environ.get("RUNBOOK_SEED") or time.time_ns() % 1_000_000_000)
_FIGURES: dict[str, list[dict[str, Any]]] = {}


class Figures:
    """What the suites counted, for the summary at the end and for the document."""

    def add(self, table: str, **row: Any) -> None:
        """One row of a table."""
        _FIGURES.setdefault(table, []).append(row)


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where the suites write down what they counted."""
    return Figures()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own, the same for the same seed."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Two labs that can inject faults; skips where strace is missing."""
    if shutil.which("strace") is None:
        pytest.skip("fault injection needs strace")
    made = Pool()
    yield made
    made.close()


@pytest.fixture(scope="session")
def power(pool: Pool) -> Pool:
    """Labs that can cut the power; skips where no file system can be mounted."""
    if why := medium.why_no_power_cuts():
        pytest.skip(why)
    return pool


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every table of this session, and the seed that repeats it."""
    if not _FIGURES:
        return
    terminalreporter.section(f"faults, {'whole' if WHOLE else 'a sample'}, RUNBOOK_SEED={SEED}")
    for table, rows in _FIGURES.items():
        terminalreporter.write_line(f"{table}:")
        for row in rows:
            terminalreporter.write_line("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    if target := os.environ.get("RUNBOOK_CRASH_FIGURES"):
        Path(target).write_text(json.dumps({"seed": SEED, "whole": WHOLE, "tables": _FIGURES}, indent=1) + "\n")

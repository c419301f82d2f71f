"""The document says what was tried, how often, and what it found."""

import re

from tests.crash.bugs import BUGS
from tests.crash.report import BEGIN, DOCUMENT, END


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of the first table below each heading, the heads first."""
    found: dict[str, list[list[str]]] = {}
    for part in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| ")]
        if rows:
            found[title.strip()] = rows
    return found


def test_the_tables_have_their_fields_and_numbers() -> None:
    """Trial, N, what went wrong and the bound, for faults, changes, planted bugs and the peer; and the seed."""
    text = DOCUMENT.read_text()
    made = text[text.index(BEGIN) : text.index(END)]
    assert re.search(r"RUNBOOK_SEED=\d+", made)
    found = tables(made)
    assert found["Faults"][0] == ["trial", "N", "wrong", "rate"]
    assert found["Changes"][0] == ["change", "N", "unseen", "rate"]
    assert found["Plain papermill"][0] == ["trial", "measure", "papermill", "runbook"]
    for table in ("Faults", "Changes"):
        assert all(int(row[1]) > 0 and row[2] == "0" for row in found[table][2:])
    assert len(found["Planted bugs"]) - 2 == len(BUGS) >= 10


def test_every_fault_that_was_found_has_its_fix() -> None:
    """The track record names what was wrong, what found it and what was done."""
    heads, _, *rows = tables(DOCUMENT.read_text())["Track record"]
    assert heads == ["fault", "found by", "fix"]
    assert rows
    assert all(len(row) == 3 and all(row) for row in rows)

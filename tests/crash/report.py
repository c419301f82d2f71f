"""The tables of docs/reliability.md, from the figures that a whole run left: `python -m tests.crash.report FIGURES`."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]


def bound(wrong: int, trials: int) -> str:
    """What some trials say of the rate with 95 % confidence: 3/N where none went wrong.

    >>> bound(0, 3000)
    '< 0.1 %'
    >>> bound(5, 24)
    '21 % seen'
    """
    return f"{100 * wrong / trials:.2g} % seen" if wrong else f"< {300 / trials:.2g} %"


def document(figures: Mapping[str, Any]) -> str:
    """All tables, as Markdown."""
    tables: Tables = figures["tables"]
    said = (
        f"Made by `make test-crash` with `RUNBOOK_SEED={figures['seed']}`. The last column bounds the true rate with "
        "95 % confidence: 3/N where nothing went wrong in N trials."
    )
    parts = [
        said,
        "### Faults\n\n" + _table(["trial", "N", "wrong", "rate"], _faults(tables)),
        "### Changes\n\n" + _table(["change", "N", "unseen", "rate"], _changes(tables)),
        "### Planted bugs\n\n" + _table(["planted bug", "caught by", "trials until then", "noticed as"], _bugs(tables)),
        "### Plain papermill\n\n" + _table(["trial", "measure", "papermill", "runbook"], _peer(tables)),
    ]
    return "\n\n".join(parts) + "\n"


def _faults(tables: Tables) -> Iterable[Sequence[Any]]:
    for row in tables["one fault"]:
        yield _counted(f"{row['fault']} at each call during {row['operation']}", row)
    for row in tables["a disk that stays full"]:
        yield _counted("every further call fails with ENOSPC", row)
    for row in tables["recovery"]:
        yield _counted(f"{row['fault']} at each call of the recovery from {row['kills']} kills", row)
    for row in tables["power cuts"]:
        yield _counted(f"power cut, ext4 data={row['mode']}", row)
    for row in tables.get("a day of schedules", []):
        day = f"a day of {row['schedules']} schedules, two tickers, {row['kills']} kills ({row['runs']})"
        yield _counted(day, {**row, "points": row["due"]})
    for row in tables["small disks"]:
        yield _counted(f"a real run on a small disk ({row['limit']})", {**row, "points": row["runs"]})
    for row in tables.get("steps", ()):
        killed = sum(row["kills"].values())
        what = f"runs of six changing steps, {killed} kills, resumed in {row['attempts']} attempts until done"
        yield _counted(what, {**row, "points": row["runs"]})
    for row in tables.get("migrations", ()):
        killed = sum(row["kills"].values())
        what = f"kills in {row['runs']} runs of twelve migrations, resumed in {row['attempts']} attempts until done"
        yield _counted(what, {**row, "points": killed})
    for row in tables.get("approvals", ()):
        yield _counted("steps of people around a gate that asks for approvals", {**row, "points": row["steps"]})


def _counted(what: str, row: Row) -> Sequence[Any]:
    return what, row["points"], row["wrong"], bound(row["wrong"], row["points"])


def _changes(tables: Tables) -> Iterable[Sequence[Any]]:
    for row in tables["changed bits"]:
        every = "every bit" if row["bits"] == row["of"] else "sampled bits"
        yield f"{every} of {row['file']}", row["bits"], row["unseen"], bound(row["unseen"], row["bits"])
    for row in tables["attacks"]:
        yield row["attack"], row["seeds"], row["unseen"], bound(row["unseen"], row["seeds"])
    for row in tables["clean verifications"]:
        alarms = row["alarms"]
        yield "nothing (false alarms)", row["verifications"], alarms, bound(alarms, row["verifications"])
    for row in tables["many records"]:
        yield f"nothing, {row['records']} records in {row['seconds']} s", row["records"], row["alarms"], "-"


def _bugs(tables: Tables) -> Iterable[Sequence[Any]]:
    for row in tables["planted bugs"]:
        yield row["bug"], row["part"], row["trials"], _short(row["noticed"])


def _peer(tables: Tables) -> Iterable[Sequence[Any]]:
    seen: dict[tuple[str, str], dict[str, str]] = {}
    for row in tables["peer"]:
        for measure in ("unreadable", "untrue", "lost", "unseen"):
            if measure in row:
                said = f"{row[measure]} in {row['trials']} ({bound(row[measure], row['trials'])})"
                said = said if measure != "untrue" else f"{row[measure]} cells in {row['trials']} runs"
                seen.setdefault((row["trial"], measure), {})[row["tool"]] = said
    for row in tables["one fault"]:
        key = (f"{row['fault']} at a call", "unreadable")
        if key in seen:
            seen[key]["runbook"] = "0, see Faults"
            seen[(key[0], "lost")]["runbook"] = "0, see Faults"
    words = {
        "unreadable": "file cannot be read",
        "untrue": "stored as done and was not",
        "lost": "what was saved is lost",
        "unseen": "nobody is told",
    }
    for (trial, measure), tools in seen.items():
        yield trial, words[measure], tools.get("papermill", "-"), tools.get("runbook", "-")


def _short(text: str) -> str:
    """A sentence without the ids in it."""
    words = ["..." if len(word) >= 40 or word.startswith("/") else word for word in text.replace("|", "").split()]
    return " ".join(words)[:100]


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def between_markers(text: str, made: str) -> str:
    """The document with new tables."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{made}\n{END}{rest.partition(END)[2]}"


def main(path: str) -> None:
    """Write the tables of some figures into the document."""
    figures = json.loads(Path(path).read_bytes())
    if not figures["whole"]:
        raise SystemExit("these are the figures of a sample; run `make test-crash`")
    DOCUMENT.write_text(between_markers(DOCUMENT.read_text(), document(figures)))


if __name__ == "__main__":
    main(sys.argv[1])

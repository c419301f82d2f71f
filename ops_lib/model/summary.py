"""What a listing says of a run, what it is known by, and the texts in it that a search looks through."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops_lib.model.approval import broke_glass
from ops_lib.model.finding import Severity
from ops_lib.model.result import MIME_TYPE
from ops_lib.model.search import Label

Json = Mapping[str, Any]
MOST_LETTERS = 1 << 19
_SHOWN = ("text/plain", "text/markdown")
_TOLD = ("title", "verdict", "notes", "next_step", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in one line. `worst` is the highest severity among its findings; times are as the record has them.

    `emergency` is whether it went on without the approval that its target demanded.
    """

    run_id: str
    runbook: str
    title: str
    outcome: str
    target: str | None
    system_identifier: str | None
    database: str | None
    person: str
    cause: str
    queued_at: str
    ended_at: str | None
    worst: str | None
    critical: int
    warning: int
    info: int
    snapshot: bool
    emergency: bool

    @classmethod
    def of(cls, record: Json, *, snapshot: bool) -> "Summary":
        """From record.json, schema 1; KeyError, TypeError or ValueError where it is something else."""
        target = record["target"] or {}
        counts = dict.fromkeys(map(str, Severity), 0)
        for finding in record["findings"]:
            counts[Severity(finding["severity"]).value] += 1
        return cls(
            run_id=str(record["run_id"]),
            runbook=_clean(record["runbook"]["id"]),
            title=_clean(record["runbook"]["title"]),
            outcome=_clean(record["outcome"]),
            target=_known(target.get("name")),
            system_identifier=_known(target.get("system_identifier")),
            database=_known(target.get("database")),
            person=_clean(record["cause"]["who"]),
            cause=_clean(record["cause"]["kind"]),
            queued_at=_clean(record["queued_at"]),
            ended_at=_known(record["ended_at"]),
            worst=next((level for level in reversed(counts) if counts[level]), None),
            snapshot=snapshot,
            emergency=broke_glass(record["approvals"]),
            **counts,
        )


def _known(value: Any) -> str | None:
    return None if value is None else _clean(value)


def _clean(value: Any) -> str:
    """A text that can be stored: half of a surrogate pair, which JSON can hold, cannot."""
    return str(value).encode(errors="replace").decode()


def labels(record: Json, summary: Summary) -> Iterator[tuple[Label, str]]:
    """Everything that a run is known by."""
    yield Label.RUNBOOK, summary.runbook
    yield Label.OUTCOME, summary.outcome
    yield Label.IDENTITY, identity(summary.system_identifier, summary.database)
    yield from ((Label.TARGET, name) for name in (summary.target, summary.database) if name)
    yield Label.PERSON, summary.person
    yield from ((Label.PERSON, approval["who"]) for approval in record["approvals"])
    yield Label.CAUSE, summary.cause
    yield from ((Label.CAUSE, finding["cause"]) for finding in record["findings"])
    if summary.snapshot:
        yield Label.KEEPS, "snapshot"


def identity(system_identifier: str | None, database: str | None) -> str:
    """A database as one label, whatever name it was reached by."""
    return f"{system_identifier or '-'}/{database or '-'}"


def passages(record: Json, notebook: Json) -> Iterator[str]:
    """The texts of a run that are searched, the most telling first; what lies beyond half a million letters is not."""
    left = MOST_LETTERS
    for passage in _passages(record, notebook):
        yield passage[:left]
        left -= len(passage)
        if left <= 0:
            return


def _passages(record: Json, notebook: Json) -> Iterator[str]:
    for finding in record["findings"]:
        yield f"{finding['severity']} {finding['subject']}: {finding['summary']}"
    yield from _joined("error", (record.get("error") or {}).values())
    yield from (f"{name}: {record[name]}" for name in ("reason", "ticket", "incident") if record.get(name))
    yield from (f"{name} = {value}" for name, value in record["parameters"].items())
    runbook, target = record["runbook"], record["target"] or {}
    yield f"{runbook['id']} {runbook['title']} {runbook.get('file')} {target.get('name')} {target.get('database')}"
    for finding in record["findings"]:
        yield from _joined(finding["key"], [finding["cause"], *_texts([finding["evidence"], finding["remedy"]])])
    for name in ("steps", "approvals", "handoffs", "undo", "metrics"):
        yield from _joined(name, _texts(record.get(name)))
    yield from (str(cell["heading"]) for cell in record["cells"])
    yield from dict.fromkeys(" ".join(_texts(s.get("sql") or s.get("argv"))) for s in record["statements"])
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            yield from _texts(_content(output))


def _content(output: Json) -> Any:
    """What an output says: of our own results the sentences and the rows, of everything else the plain text."""
    bundle = output.get("data") or {}
    if MIME_TYPE in bundle:
        result = bundle[MIME_TYPE]
        table = result.get("table") or {}
        return [*(result.get(name) for name in _TOLD), table.get("columns"), table.get("rows")]
    shown = [_text(bundle[kind]) for kind in _SHOWN if kind in bundle]
    return [*shown, _text(output.get("text", "")), output.get("ename"), output.get("evalue")]


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _joined(name: str, texts: Iterable[Any]) -> Iterator[str]:
    told = " ".join(str(text) for text in texts if text)
    if told:
        yield f"{name}: {told}"


def _texts(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value, keys of mappings included."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif value is not None and value != "":
        yield str(value)

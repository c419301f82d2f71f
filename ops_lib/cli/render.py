"""What the commands print. Only this module writes to standard output."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ops_lib.model.errors import OpsError


def fault(error: OpsError) -> None:
    """The one line that an error gets."""
    print(f"runbook: {' '.join(str(error).split())}", file=sys.stderr)


def complaint(sentence: str) -> None:
    """One line for whoever has to look into something."""
    print(f"runbook: {' '.join(sentence.split())}", file=sys.stderr)


def close_pipe() -> None:
    """Whoever read our output has gone: nothing more can be said, and nothing should fail for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def document(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def json_line(value: Any) -> None:
    """One JSON document on a line, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def text(value: str) -> None:
    print(value)


def lines(values: Iterable[str]) -> None:
    for value in values:
        print(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], below: Sequence[str] = ()) -> None:
    """Aligned columns, under a row what `below` has for it; lines are cut where the terminal ends."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row, more in zip_longest([columns, *rows], ["", *below], fillvalue=""):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for shown in (line, *([f"    {more}"] if more else [])):
            print(shown[: width_of_terminal()] if sys.stdout.isatty() else shown)


def width_of_terminal() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def in_colour() -> bool:
    """Whether standard output is a terminal whose user did not ask for none (https://no-color.org)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def verdict(record: Mapping[str, Any], folder: Path) -> None:
    """The verdict of a record on one screen, with where the rest is."""
    from ops_lib.model.telling import render_terminal  # noqa: PLC0415
    from ops_lib.model.verdict import verdict_of  # noqa: PLC0415

    width = min(width_of_terminal(), 100)
    lines(render_terminal(verdict_of(record, _results(folder)), folder=str(folder), width=width, colour=in_colour()))


def record(
    content: Mapping[str, Any], folder: Path, *, as_json: bool, markdown: bool = False, standing: Sequence[Any] = ()
) -> None:
    """A record as JSON, for a chat, or as its verdict on one screen, with how its handoffs stand."""
    if as_json:
        document(content)
    elif markdown:
        from ops_lib.model.telling import render_markdown  # noqa: PLC0415

        text(render_markdown(content, _results(folder)))
    else:
        from ops_lib.cli import owing  # noqa: PLC0415

        verdict(content, folder)
        lines(owing.of_record(content, standing))


def _results(folder: Path) -> Sequence[Any]:
    """What the cells of a run have shown: a question that was not answered is known from there alone."""
    from ops_lib.archive.staging import events_of  # noqa: PLC0415
    from ops_lib.model.record import results_of  # noqa: PLC0415

    return results_of(events_of(folder))


def recovered(sealed: Sequence[str], failed: Mapping[str, str]) -> None:
    """What was sealed in passing, and what could not be, is said, and never on standard output."""
    for run_id in sealed:
        print(f"runbook: sealed run {run_id}, whose supervisor had died", file=sys.stderr)
    for run_id, why in failed.items():
        print(f"runbook: not sealed yet, {run_id}: {why}", file=sys.stderr)


def records(page: Any, *, limit: int) -> None:
    """One line a record, and under it the part that holds what was asked for."""
    from ops_lib.model.verdict import plain  # noqa: PLC0415

    if page.note:
        print(f"runbook: {plain(page.note)}", file=sys.stderr)
    rows = [
        (
            found.summary.queued_at[:19].replace("T", " "),
            found.summary.run_id,
            plain(found.summary.runbook),
            plain(found.summary.outcome) + (" BREAK-GLASS" if found.summary.emergency else ""),
            plain(found.summary.target or "-"),
            _counted(found.summary),
        )
        for found in page.found
    ]
    table(
        ("when (UTC)", "run", "runbook", "outcome", "target", "findings"),
        rows,
        below=[plain(found.matched or "") for found in page.found],
    )
    if len(rows) == limit:
        print(f"the newest {limit}; --limit N for more")


def _counted(summary: Any) -> str:
    """How many findings of each severity a run has."""
    levels = ("critical", "warning", "info")
    counts = [f"{getattr(summary, level)} {level}" for level in levels if getattr(summary, level)]
    return ", ".join(counts) or "none"


def comparison(found: Any, *, as_json: bool) -> None:
    """What is different between two runs, on one screen."""
    if as_json:
        document(found.to_json())
        return
    from ops_lib.model.contrast import render_comparison  # noqa: PLC0415

    lines(render_comparison(found, width=max(width_of_terminal(), 60)))


def verification(result: Any, *, as_json: bool) -> None:
    """What was recomputed, and what did not fit."""
    if as_json:
        listed = {name: list(getattr(result, name)) for name in ("unfinished", "pruned", "redacted", "notes")}
        faults = [{"where": fault.where, "what": fault.what} for fault in result.faults]
        document({"entries": result.entries, "records": result.records, **listed, "faults": faults})
        return
    for fault_found in result.faults:
        print(f"DOES NOT VERIFY: {fault_found}")
    if not result.faults:
        print(f"{result.records} records and {result.entries} ledger entries verify")
    for what, run_ids in (("pruned", result.pruned), ("redacted", result.redacted), ("not sealed", result.unfinished)):
        if run_ids:
            print(f"{len(run_ids)} {what}: {', '.join(run_ids)}")
    for note in result.notes:
        print(f"note: {note}")


def audit(made: Any, *, as_json: bool) -> None:
    """What an audit made, and what it counted."""
    fields = _fields(made)
    if as_json:
        document({**fields, "folder": str(made.folder), "sampled": list(made.sampled)})
        return
    print(f"{made.folder}/runs.csv: {made.runs} runs, {made.unsealed} of them never sealed")
    print(f"{made.folder}/changes.csv: {made.unexplained} schema changes that no changing run mentions")
    print(f"{made.folder}/statement.txt: from {made.size} ledger entries, root {made.root}")
    if made.sampled:
        print(f"{made.folder}/evidence: {len(made.sampled)} records")
    if made.faults:
        print(f"DOES NOT VERIFY: {made.faults} things, named in statement.txt")


def pruned(candidates: Sequence[Any], *, done: bool, as_json: bool) -> None:
    """Which old records were removed, or would be, and which stay."""
    if as_json:
        document({"done": done, "records": [_fields(candidate) for candidate in candidates]})
        return
    going = [candidate for candidate in candidates if candidate.stays is None]
    for candidate in candidates:
        fate = f"stays: {candidate.stays}" if candidate.stays else "removed" if done else "would be removed"
        print(f"{candidate.run_id}  {candidate.runbook}  {candidate.target or '-'}  {fate}")
    total = sum(candidate.bytes for candidate in going)
    said = "removed" if done else "would be removed; --yes removes them"
    print(f"{len(going)} records with {total} bytes {said}")


def redacted(run_id: str, paths: Sequence[str]) -> None:
    """What is different now, and what that does not undo."""
    print(f"run {run_id}: rewritten {', '.join(paths)}")
    print("copies that were made before (exports, backups, mails) still hold it")


def catalogue(found: Any, *, as_json: bool) -> None:
    """One line a runbook; what is wrong with the others goes to standard error."""
    for broken in found.faults:
        print(f"runbook: {broken}", file=sys.stderr)
    if as_json:
        document([_runbook_json(runbook) for runbook in found.runbooks])
        return
    rows = [(runbook.id, runbook.hazard.value, runbook.title) for runbook in found.runbooks]
    table(("id", "hazard", "title"), rows)


def _runbook_json(runbook: Any) -> dict[str, Any]:
    from ops_lib.model.times import format_duration  # noqa: PLC0415

    return {
        "id": runbook.id,
        "title": runbook.title,
        "hazard": runbook.hazard.value,
        "owner": runbook.owner,
        "timeout": format_duration(runbook.timeout),
        "needs": list(runbook.needs),
        "wants": list(runbook.wants),
        "schedule": runbook.schedule,
        "related": list(runbook.related),
        "parameters": [
            {"name": p.name, "type": str(p.kind), "required": p.required, "range": p.range, "help": p.help,
             "default": None if p.required else _shown(p.default)}
            for p in runbook.parameters
        ],
        "file": runbook.path,
    }  # fmt: skip


def _shown(value: object) -> str:
    from ops_lib.model.parameter import shown  # noqa: PLC0415

    return shown(value)


def runbook(found: Any, *, as_json: bool) -> None:
    """What a runbook does, needs and takes."""
    described = _runbook_json(found)
    if as_json:
        document(described)
        return
    print(f"{found.id}  {found.title}\n")
    for name in ("hazard", "owner", "timeout", "needs", "wants", "schedule", "related", "file"):
        value = described[name]
        if value:
            print(f"{name:>10}  {', '.join(value) if isinstance(value, list) else value}")
    for parameter in found.parameters:
        print(f"\n  -p {parameter}\n     {parameter.help}")


def remarks(found: Sequence[tuple[Path, Any]], *, as_json: bool) -> None:
    """One line a remark: file, cell, rule, what."""
    if as_json:
        document([{"file": str(path), **_fields(remark)} for path, remark in found])
        return
    for path, remark in found:
        print(f"{path}: {remark}")
    if not found:
        print("nothing to remark")


def _fields(remark: Any) -> dict[str, Any]:
    return {name: getattr(remark, name) for name in remark.__dataclass_fields__}


def demonstration(found: Any, stage: str, *, as_json: bool) -> None:
    """How far the demonstration is, and how to reach its database."""
    place = {"stage": str(stage), "passfile": str(found.server.passfile), "log": str(found.server.log)}
    if found.server.running():
        place["dsn"] = " ".join(f"{key}={value}" for key, value in found.login().keywords.items())
    if as_json:
        document(place)
        return
    for name, value in place.items():
        print(f"{name:>10}  {value}")


def made(files: Sequence[tuple[Path, bool]]) -> None:
    """What `init` made, and what comes next."""
    for path, new in files:
        print(f"{'made' if new else 'kept':>6}  {path}")
    print(
        "\nnext: name your database in infrastructure/targets.yaml,\n"
        "      make the roles: psql -f infrastructure/roles.sql,\n"
        "      look: runbook doctor --target NAME && runbook run SOP-004 --target NAME"
    )


def answers(found: Sequence[Any], *, as_json: bool) -> None:
    """One line an answer."""
    if as_json:
        document([_fields(answer) for answer in found])
        return
    for answer in found:
        print(f"{'ok' if answer.well else 'FAULT':>6}  {answer.what}: {answer.text}")


def resumable(content: Mapping[str, Any]) -> None:
    """How what a run has left undone is taken up, where it has begun to change something."""
    if content["steps"] and content["outcome"] != "succeeded":
        print(f"runbook: to go on where it stopped: runbook resume {content['run_id']}", file=sys.stderr)


def waiting(found: Sequence[Any], reviews: Sequence[Any], handoffs: Sequence[Any]) -> None:
    """One line a run that waits, one a review that is owed, and one a handoff that nobody has acknowledged."""
    from ops_lib.cli import owing  # noqa: PLC0415
    from ops_lib.model.verdict import plain  # noqa: PLC0415

    rows = [
        (item.since[:19].replace("T", " "), item.run_id, item.runbook, plain(item.asking.terms.target.get("name")),
         plain(item.who), item.digest[:12], f"{item.missing} of {item.asking.demand.approvals}")
        for item in found
    ]  # fmt: skip
    if rows:
        table(("since (UTC)", "run", "runbook", "target", "asked by", "plan", "missing"), rows)
    for item in reviews:
        print(f"BREAK-GLASS by {plain(item.who)} at {item.at}, not reviewed: run {item.run_id}: {plain(item.reason)}")
    if handoffs:
        table(owing.COLUMNS, owing.rows(handoffs))
    if not rows and not reviews and not handoffs:
        print("nothing waits")


def daemons(found: Sequence[int], *, stopped: bool, as_json: bool) -> None:
    """The process ids of the daemons that run, or did."""
    if as_json:
        document({"stopped" if stopped else "running": list(found)})
    elif found:
        for pid in found:
            print(f"{'stopped' if stopped else 'running'}: process {pid}")
    else:
        print("no daemon is running")

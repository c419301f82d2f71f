"""Finding and comparing sealed runs: by words and labels, with the run before, and with what was kept of a database."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.staging import Staging
from ops_lib.model import ulid
from ops_lib.model.errors import BadInput
from ops_lib.model.search import Label
from ops_lib.model.snapshot import FILE_NAME, Snapshot
from ops_lib.model.target import Guard, Identity
from ops_lib.model.times import format_instant
from ops_lib.operations import snapshots
from ops_lib.operations.browse import Page, documents, list_records, reindex
from ops_lib.operations.compare import Earlier, compare
from ops_lib.operations.desk import Desk
from ops_lib.operations.run import declare_intent
from ops_lib.operations.seal import seal

AT = datetime(2026, 1, 1, tzinfo=UTC)
IDENTITY = Identity(
    system_identifier="77", database="platform", server_version=180000, user="u", guard=Guard.ROLE, in_recovery=False,
    extensions={}, can_monitor=True, can_read_all=True,
)  # fmt: skip
SealRun = Callable[..., Path]


@pytest.fixture
def seal_run(desk: Desk) -> SealRun:
    """Seals run number N without a kernel: `printed`, findings, parameters and a snapshot's settings as given."""

    def seal_one(
        number: int, *, printed: str = "hello", findings: tuple[str, ...] = (), outcome: str = "succeeded",
        target: str = "demo", settings: dict[str, str] | None = None, **opened: Any,
    ) -> Path:  # fmt: skip
        at = AT + timedelta(hours=number)
        staging = Staging.create(desk.archive, ulid.make(at, bytes([number] * 10)))
        source = {
            "cell_type": "code",
            "id": "c0",
            "metadata": {},
            "source": "1",
            "outputs": [],
            "execution_count": None,
        }
        staging.write("notebook.ipynb", json.dumps({"cells": [source], "nbformat": 4, "nbformat_minor": 5}).encode())
        if settings is not None:
            staging.attach(FILE_NAME, snapshot(at, settings).to_bytes())
        for event in events(staging.run_id, at, printed, findings, outcome, target, opened):
            staging.append({"at": format_instant(at), **event}, durable=event["kind"] == "opened")
        declare_intent(desk, staging)
        return seal(desk, staging)[0]

    return seal_one


def finding(subject: str, waiting: int) -> dict[str, Any]:
    """A finding as a result has it."""
    return {
        "key": f"locks:{subject}", "check": "locks", "subject": subject, "severity": "warning", "cause": "lock-chain",
        "summary": f"{waiting} sessions wait on {subject}", "evidence": {}, "rank": 0, "symptoms": [], "weight": 0.5,
        "remedy": {"text": "End it.", "sql": None, "runbook": None, "parameters": None},
    }  # fmt: skip


def events(
    run_id: str,
    at: datetime,
    printed: str,
    findings: tuple[str, ...],
    outcome: str,
    target: str,
    opened: dict[str, Any],
) -> list[dict[str, Any]]:
    """A journal."""
    told = {"name": target, "kind": "postgres", "system_identifier": "77", "database": "platform", "guard": "role"}
    result = {
        "title": "Locks", "verdict": "seen", "table": None, "metrics": {}, "notes": [], "next_step": None,
        "skipped": None, "findings": [finding(subject, at.hour) for subject in findings],
    }  # fmt: skip
    shown = {"data": {"application/vnd.ops-runbooks.result+json": result}, "metadata": {}}
    runbook = {
        "id": "SOP-004",
        "title": "Look",
        "hazard": "read-only",
        "owner": "a",
        "file": "a.ipynb",
        "sha256": "0" * 64,
    }
    return [
        {"kind": "opened", "run_id": run_id, "software": {}, "runbook": {**runbook, "commit": None}, "ticket": None,
         "cause": {"kind": "person", "who": "ana", "how_known": "test"}, "reason": None, "parameters": {},
         "target": {**told, "server_version": 180000}, **opened},
        {"kind": "planned", "cells": [{"id": "c0", "heading": "Question"}]},
        {"kind": "cell-began", "cell": "c0"},
        {"kind": "output", "cell": "c0", "type": "stream", "content": {"name": "stdout", "text": printed}},
        {"kind": "output", "cell": "c0", "type": "display_data", "content": shown},
        {"kind": "cell-ended", "cell": "c0", "status": "ok", "seconds": 0.1},
        {"kind": "ended", "outcome": outcome, "error": None, "hidden": None},
    ]  # fmt: skip


def snapshot(at: datetime, settings: dict[str, str]) -> Snapshot:
    """A snapshot of settings and nothing else."""
    return Snapshot(
        taken_at=at, identity=IDENTITY, settings=settings, tables=(), indexes=(), columns=(), statements=None
    )


def ids(page: Page) -> list[str]:
    """The runs of a page."""
    return [found.summary.run_id for found in page.found]


def test_records_are_found_with_the_part_that_holds_the_words(desk: Desk, seal_run: SealRun) -> None:
    """A finding before anything else; an output where the record itself says nothing of it."""
    first = seal_run(1, printed="the walrus sang", reason="a lock timeout")
    second = seal_run(2, findings=("mart.games",))
    page = list_records(desk, ["mart.games"])
    assert ids(page) == [second.name]
    assert page.found[0].matched == "warning mart.games: 2 sessions wait on mart.games"
    assert list_records(desk, ["walrus"]).found[0].matched == "the walrus sang"
    assert documents(desk, list_records(desk, ["lock", "time*"]))[0]["matched"] == "reason: a lock timeout"
    assert documents(desk, list_records(desk))[1]["folder"] == str(first)
    assert list_records(desk).found[0].matched is None


def test_a_phrase_is_its_words_one_after_the_other(desk: Desk, seal_run: SealRun) -> None:
    """In one passage, whatever stands between the words there."""
    first = seal_run(1, reason="a lock: Timeout again")
    second = seal_run(2, reason="a timeout of a lock")
    assert ids(list_records(desk, ["lock timeout"])) == [second.name, first.name]
    assert ids(list_records(desk, ['"lock timeout"'])) == [first.name]
    assert ids(list_records(desk, ['"timeout lock"'])) == []


def test_labels_times_and_limits_narrow_a_page(desk: Desk, seal_run: SealRun) -> None:
    """Nothing that was not asked for counts."""
    folders = [seal_run(number, outcome="failed" if number == 2 else "succeeded") for number in range(1, 5)]
    assert ids(list_records(desk, labels={Label.OUTCOME: "failed", Label.PERSON: None})) == [folders[1].name]
    assert ids(list_records(desk, limit=2)) == [folders[3].name, folders[2].name]
    assert ids(list_records(desk, since="2026-01-01T02:00Z", until="2026-01-01T03:00Z")) == [
        folders[2].name, folders[1].name,
    ]  # fmt: skip
    with pytest.raises(BadInput, match="number of records"):
        list_records(desk, limit=0)


def test_an_archive_that_is_not_there_has_no_records_and_is_not_made(desk: Desk) -> None:
    """Looking leaves no trace."""
    assert list_records(desk, ["lock"]) == Page()
    assert reindex(desk, lambda _: None) == 0
    assert not desk.archive.exists()


def test_a_record_that_somebody_removed_is_not_listed(desk: Desk, seal_run: SealRun) -> None:
    """Nor is it the next time, though the ledger still has it."""
    first, second = seal_run(1), seal_run(2)
    shutil.rmtree(second)
    assert ids(list_records(desk)) == [first.name]
    assert ids(list_records(desk, limit=1)) == [first.name]


def test_without_an_index_every_record_is_read_and_the_page_says_so(desk: Desk, seal_run: SealRun) -> None:
    """Sealing did not mind, and the answer is the same."""
    desk.archive.mkdir()
    (desk.archive / "index.lock").mkdir()
    folders = [seal_run(number, reason="a lock timeout") for number in range(1, 4)]
    page = list_records(desk, ["lock", '"lock timeout"'], limit=2)
    assert ids(page) == [folders[2].name, folders[1].name]
    assert page.note is not None
    assert "every record was read instead" in page.note
    assert json.loads((folders[2] / "record.json").read_bytes())["since_last"]["run_id"] == folders[1].name


def test_each_record_says_what_is_different_since_the_run_before_on_the_same_target(
    desk: Desk, seal_run: SealRun
) -> None:
    """A run that failed is passed over for one that succeeded, and runs elsewhere do not count."""
    first = seal_run(1, findings=("a.x", "a.y"), settings={"work_mem": "4MB"}, parameters={"since": ""})
    seal_run(2, outcome="failed")
    seal_run(3, target="prod")
    now = seal_run(4, findings=("a.y", "a.z"), settings={"work_mem": "64MB"}, parameters={"since": "24h"})
    since = json.loads((now / "record.json").read_bytes())["since_last"]
    assert since["run_id"] == first.name
    assert (since["new"], since["gone"], since["worse"]) == (["locks:a.z"], ["locks:a.x"], [])
    assert since["settings"] == {"work_mem": {"before": "4MB", "now": "64MB"}}
    assert since["parameters"] == {"since": {"before": "", "now": "24h"}}
    assert json.loads((first / "record.json").read_bytes())["since_last"] is None


def test_a_run_that_is_sealed_while_another_goes_on_is_the_one_before_it(desk: Desk, seal_run: SealRun) -> None:
    """What was looked for at its beginning is not believed any more."""
    first = seal_run(1)
    record = json.loads((first / "record.json").read_bytes())
    earlier = Earlier(desk.archive, {**record, "run_id": ulid.make(AT + timedelta(hours=9), bytes(10))})
    assert earlier.run_id() == first.name
    assert seal_run(2).name == earlier.run_id()


def test_a_damaged_earlier_record_never_keeps_a_new_one_from_being_sealed(desk: Desk, seal_run: SealRun) -> None:
    """It is for `verify` to name."""
    first = seal_run(1)
    (first / "record.json").write_bytes(b'{"outcome": 3}')
    second = seal_run(2)
    assert json.loads((second / "record.json").read_bytes())["since_last"] is None


def test_two_runs_are_compared_by_what_names_them(desk: Desk, seal_run: SealRun) -> None:
    """A run and its repetition have the same findings, though their sentences count otherwise."""
    first = seal_run(1, findings=("a.x",), settings={"jit": "on"})
    second = seal_run(2, findings=("a.x",), settings={"jit": "off"})
    comparison = compare(desk, first.name[-6:], "last")
    assert comparison.later.run_id == second.name
    assert comparison.same_findings
    assert comparison.source == ()
    assert list(comparison.settings or {}) == ["jit"]
    assert compare(desk, "last", "last").to_json()["metrics"] == {}
    with pytest.raises(BadInput):
        compare(desk, "last", "nobody")


def test_snapshots_are_found_by_the_database_that_they_are_of(desk: Desk, seal_run: SealRun) -> None:
    """The newest, the last before a time, or the oldest of seven days."""
    for number in (1, 2, 24 * 9, 24 * 10):
        seal_run(number, settings={"n": str(number)})
    seal_run(24 * 10 + 1)
    now, other = AT + timedelta(days=10, hours=2), replace(IDENTITY, system_identifier="88")
    settings = lambda found: found.settings["n"] if found else None  # noqa: E731
    assert settings(snapshots.newest(desk.archive, IDENTITY)) == "240"
    assert snapshots.newest(desk.archive, other) is None
    assert settings(snapshots.baseline(desk.archive, IDENTITY, since=AT + timedelta(hours=3), now=now)) == "2"
    assert settings(snapshots.baseline(desk.archive, IDENTITY, since=AT, now=now)) is None
    assert settings(snapshots.baseline(desk.archive, IDENTITY, since=None, now=now)) == "216"
    assert settings(snapshots.baseline(desk.archive, IDENTITY, since=None, now=now + timedelta(days=30))) == "240"

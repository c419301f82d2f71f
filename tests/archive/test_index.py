"""The search index: it answers as a plain scan does, keeps up, and can be lost at any moment."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_lib.archive import indexing
from ops_lib.archive.index import Index, scan
from ops_lib.archive.indexing import consult, keep_up, reindex
from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.model import ulid
from ops_lib.model.errors import BadInput, IndexUnavailable
from ops_lib.model.ledger import EntryKind, sha256
from ops_lib.model.search import Label, asked

AT = datetime(2026, 1, 1, tzinfo=UTC)
Add = Callable[..., Path]


def record_of(number: int, **changes: Any) -> dict[str, Any]:
    """A record, schema 1, as far as a search reads it."""
    return {
        "run_id": "", "outcome": "failed" if number % 3 == 0 else "succeeded", "error": None, "ticket": f"T-{number}",
        "runbook": {"id": "SOP-004" if number % 2 else "SOP-005", "title": "A test", "file": "a.ipynb"},
        "cause": {"kind": "person", "who": "ana" if number % 2 else "bela"}, "reason": "a lock timeout at night",
        "parameters": {"since": "24h"}, "cells": [], "steps": [], "approvals": [], "handoffs": [], "undo": None,
        "target": {"name": "demo", "system_identifier": "77", "database": "platform"}, "metrics": {},
        "queued_at": "2026-01-01T00:00:00.000Z", "started_at": None, "ended_at": "2026-01-01T00:00:01.000Z",
        "statements": [{"sql": "SELECT idle_in_transaction FROM pg_stat_activity"}],
        "findings": [{
            "key": f"locks:mart.t{number}", "check": "locks", "subject": f"mart.t{number}", "severity": "warning",
            "cause": "lock-chain", "summary": f"{number} sessions wait", "evidence": {}, "remedy": {"text": "End it."},
        }], **changes,
    }  # fmt: skip


@pytest.fixture
def add(tmp_path: Path, keys: Keys) -> Add:
    """Seals run number N of the archive in tmp_path, with what a test wants in its record; answers with its folder."""

    def seal(number: int, **changes: Any) -> Path:
        staging = staged(tmp_path, number)
        record = record_of(number, **{"run_id": staging.run_id, **changes})
        return Records(tmp_path, keys).seal(staging, record, at=AT, who="ana")

    return seal


def staged(root: Path, number: int) -> Staging:
    staging = Staging.create(root, ulid.make(AT + timedelta(hours=number), bytes([number] * 10)))
    output = {"output_type": "stream", "text": [f"printed{number}\n", "naïve STRASSE ünder"]}
    staging.write("notebook.ipynb", json.dumps({"cells": [{"outputs": [output]}]}).encode())
    return staging


def found(root: Path, text: str = "", **wanted: Any) -> list[str]:
    """The ids that a search finds, which are those that a scan finds."""
    query = replace(asked(text), **wanted)
    ids = consult(root, lambda index: [summary.run_id for summary in index.search(query)])
    assert ids == [summary.run_id for summary in scan(root, query)]
    return ids


def content_of(root: Path) -> list[Any]:
    """Everything that the index knows of runs."""
    consult(root, Index.count)
    with sqlite3.connect(root / "index.sqlite") as connection:
        rows = connection.execute("SELECT runs.*, held.words FROM runs JOIN held USING (id) ORDER BY id").fetchall()
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    connection.close()
    return rows


def test_every_part_of_a_record_is_found_newest_first(tmp_path: Path, add: Add) -> None:
    """Findings, outputs, SQL, parameters, reasons, tickets, titles; as a whole, by part and by beginning."""
    ids = [add(number).name for number in range(1, 5)]
    newest = ids[::-1]
    for text in (
        "lock timeout",
        "24h",
        "LOCK-CHAIN",
        "idle_in_transaction",
        "idle transaction",
        "naive straße",
        "sess*",
    ):
        assert found(tmp_path, text) == newest
    for text in ("T-3", "printed3", "mart.t3", "prin* t3", '"3 sessions wait"'):
        assert found(tmp_path, text) == [ids[2]]
    assert found(tmp_path, "lock nowhere") == []
    assert found(tmp_path, "warning") == newest


def test_labels_and_times_narrow_a_search_and_no_text_passes_for_a_label(tmp_path: Path, add: Add) -> None:
    """In any case of letters; the cause of a run and that of its findings are both causes."""
    ids = [add(number, reason="outcome:succeeded runbook sop-005").name for number in range(1, 7)]
    assert found(tmp_path, labels=((Label.OUTCOME, "failed"),)) == [ids[5], ids[2]]
    assert found(tmp_path, "wait", labels=((Label.RUNBOOK, "sop-005"), (Label.OUTCOME, "FAILED"))) == [ids[5]]
    assert found(tmp_path, labels=((Label.PERSON, "Ana"),)) == [ids[4], ids[2], ids[0]]
    assert found(tmp_path, labels=((Label.CAUSE, "lock-chain"), (Label.TARGET, "platform"))) == ids[::-1]
    assert found(tmp_path, labels=((Label.CAUSE, "schedule"),)) == []
    assert found(tmp_path, since=AT + timedelta(hours=2), until=AT + timedelta(hours=3)) == [ids[2], ids[1]]
    assert found(tmp_path, "wait", before=ids[2]) == [ids[1], ids[0]]


def test_a_grown_index_is_the_same_as_one_made_from_nothing(tmp_path: Path, add: Add) -> None:
    """Whatever came in between: the file is a cache of what the archive says."""
    for number in range(1, 12):
        folder = add(number)
        if number % 2:
            keep_up(tmp_path)
        if number % 5 == 0:
            prune(tmp_path, folder)
    grown = content_of(tmp_path)
    assert len(grown) == 9
    assert reindex(tmp_path, lambda _: None) == 9
    assert content_of(tmp_path) == grown
    (tmp_path / "index.sqlite").unlink()
    assert content_of(tmp_path) == grown


def prune(root: Path, folder: Path, *, keep: bool = False) -> None:
    """Say in the ledger that a record is removed, and do it, or be killed in between."""
    tombstone(root, folder, {"action": "prune", "files": 3})
    if not keep:
        shutil.rmtree(folder)


def tombstone(root: Path, folder: Path, body: dict[str, Any]) -> None:
    """An entry of the ledger, by somebody with a key of his own, as far as the index reads it."""
    keys = Keys(root.with_name(f"{root.name}-keys"))
    Ledger(root, keys).append(EntryKind.TOMBSTONE, at=AT, who="ben", run_id=folder.name, body=body)


def test_a_pruned_record_is_not_found_from_its_tombstone_on(tmp_path: Path, add: Add) -> None:
    """Also while its folder is still there, since the one who removes it may have been killed."""
    first, second = add(1), add(2)
    assert len(found(tmp_path, "wait")) == 2
    prune(tmp_path, first, keep=True)
    asked_for = consult(tmp_path, lambda index: [summary.run_id for summary in index.search(asked("wait"))])
    assert asked_for == [second.name]
    shutil.rmtree(first)
    assert found(tmp_path, "wait") == [second.name]


def test_a_redacted_record_leaves_no_byte_of_its_secret_in_the_index(tmp_path: Path, add: Add) -> None:
    """The tombstone may come before or after the files; what is searched is never the old form again."""
    folder = add(1, reason="the password is hunter2correcthorse")
    add(2)
    keep_up(tmp_path)
    assert found(tmp_path, "hunter2correcthorse") == [folder.name]
    clean = (folder / "record.json").read_bytes().replace(b"hunter2correcthorse", b"[hidden]")
    change = {"path": "record.json", "before": {"sha256": "0"}, "after": {"sha256": sha256(clean), "bytes": len(clean)}}
    tombstone(tmp_path, folder, {"action": "redact", "files": [change]})
    keep_up(tmp_path)
    assert consult(tmp_path, Index.count) == 1
    assert secret_is_gone(tmp_path)
    (folder / "record.json").write_bytes(clean)
    assert found(tmp_path, "hidden") == [folder.name]
    assert secret_is_gone(tmp_path)


def secret_is_gone(root: Path) -> bool:
    return not any(b"hunter2" in path.read_bytes() for path in root.glob("index.sqlite*"))


def test_a_result_whose_folder_is_still_moving_is_taken_in_once_it_has_arrived(
    tmp_path: Path, add: Add, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has the result before the record has its name."""
    add(1)
    with monkeypatch.context() as patched:
        held: list[Any] = []
        patched.setattr(Records, "_place", lambda _, staging, proof: held.append((staging, proof)))
        add(2)
    keep_up(tmp_path)
    assert len(found(tmp_path, "wait")) == 1
    Records(tmp_path, keys)._place(*held[0])
    assert len(found(tmp_path, "wait")) == 2


def test_records_that_the_ledger_does_not_know_or_that_cannot_be_read_harm_nothing(tmp_path: Path, add: Add) -> None:
    """A stray one is listed after a reindex, a broken one is left out, whatever is wrong with it."""
    first = add(1)
    stranger = first.with_name("01KDVDNA000000000000000000")
    shutil.copytree(first, stranger)
    for number, content in enumerate((b"", b"[]", b'{"findings": 3}', b"[" * 100_000, b'{"target": "x"}'), start=2):
        (add(number) / "record.json").write_bytes(content)
    odd = record_of(9, reason="\ud800 half a pair", runbook={"id": "\ud800", "title": ["x"], "file": 3})
    (add(9) / "record.json").write_text(json.dumps(odd))
    assert reindex(tmp_path, lambda _: None) == 3
    assert stranger.name in found(tmp_path, "wait")


@pytest.mark.parametrize("damage", ["garbage", "cut", "zeros", "empty", "other", "gone", "log"])
def test_a_worthless_file_is_thrown_away_and_made_again(tmp_path: Path, add: Add, damage: str) -> None:
    """Whether it is no database, half a database, or one of something else."""
    ids = [add(number).name for number in range(1, 4)]
    keep_up(tmp_path)
    path = tmp_path / "index.sqlite"
    content = path.read_bytes()
    match damage:
        case "garbage":
            path.write_bytes(os.urandom(len(content)))
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "zeros":
            path.write_bytes(content[:4096] + bytes(len(content) - 4096))
        case "empty":
            path.write_bytes(b"")
        case "other":
            with sqlite3.connect(path) as connection:
                connection.execute("DROP TABLE runs")
            connection.close()
        case "gone":
            path.unlink()
        case "log":
            path.with_name("index.sqlite-wal").write_bytes(os.urandom(5000))
    assert found(tmp_path, "wait") == ids[::-1]


def test_a_ledger_that_was_replaced_makes_the_index_anew(tmp_path: Path, add: Add) -> None:
    """An old archive that was put back, or a ledger that was cut: the index never mixes two histories."""
    first = add(1)
    ledger = (tmp_path / "ledger.jsonl").read_bytes()
    second = add(2)
    assert found(tmp_path, "wait") == [second.name, first.name]
    (tmp_path / "ledger.jsonl").write_bytes(ledger)
    shutil.rmtree(second)
    assert found(tmp_path, "wait") == [first.name]
    (tmp_path / "ledger.jsonl").write_bytes(b"not json\n" + ledger + b'{"half')
    assert found(tmp_path, "wait") == [first.name]


def test_an_archive_that_cannot_be_written_has_no_index_and_says_so(tmp_path: Path, add: Add) -> None:
    """Whoever asks gets one error of ours, and sealing does not mind."""
    add(1)
    (tmp_path / "index.lock").mkdir()
    with pytest.raises(IndexUnavailable, match="Is a directory"):
        consult(tmp_path, Index.count)
    keep_up(tmp_path)


def test_in_a_hurry_no_long_work_is_begun_and_nothing_is_waited_for(
    tmp_path: Path, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends does not wait for somebody else's index, nor make a large one."""
    add(1)
    monkeypatch.setattr(indexing, "SHORT_BYTES", 10)
    keep_up(tmp_path)
    assert not (tmp_path / "index.sqlite").exists()
    consult(tmp_path, Index.count)
    add(2)
    with pytest.raises(IndexUnavailable, match="behind"):
        consult(tmp_path, Index.count, hurry=True)
    monkeypatch.undo()
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(IndexUnavailable, match="locked"):
            consult(tmp_path, Index.count, hurry=True)
        busy.execute("ROLLBACK")
    busy.close()
    assert consult(tmp_path, Index.count, hurry=True) == 2


WORK = """
import sys, time
from pathlib import Path
from ops_lib.archive.index import Index
from ops_lib.archive.indexing import consult, reindex
root, how = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
print(reindex(root, lambda _: None) if how == "reindex" else consult(root, Index.count), flush=True)
"""


def work(root: Path, how: str) -> "subprocess.Popen[str]":
    """A process that uses the index, once it has imported everything."""
    process = subprocess.Popen([sys.executable, "-c", WORK, str(root), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def answer(process: "subprocess.Popen[str]") -> str:
    """What it said after it was ready; `communicate` would lose what was read ahead with that line."""
    with process:
        return process.stdout.read()


def test_several_processes_make_use_and_replace_the_index_at_once(tmp_path: Path, add: Add) -> None:
    """Each gets a whole answer, and what is left is sound."""
    for number in range(1, 30):
        add(number)
    for _ in range(2):
        (tmp_path / "index.sqlite").unlink(missing_ok=True)
        several = [work(tmp_path, how) for how in ("use", "reindex", "use", "reindex", "use")]
        assert [answer(process) for process in several] == ["29\n"] * 5
    assert len(content_of(tmp_path)) == 29


def test_a_process_that_is_killed_at_any_moment_leaves_nothing_that_hinders_the_next(tmp_path: Path, add: Add) -> None:
    """While it makes the index, and while it catches up."""
    for number in range(1, 40):
        add(number)
    for moment in range(16):
        if moment % 4 == 0:
            (tmp_path / "index.sqlite").unlink(missing_ok=True)
        process = work(tmp_path, "reindex" if moment % 2 else "use")
        ends = time.monotonic() + moment * 0.004
        while process.poll() is None and time.monotonic() < ends:
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        add(40 + moment)
        assert len(found(tmp_path, "wait")) == 40 + moment
    before = content_of(tmp_path)
    reindex(tmp_path, lambda _: None)
    assert content_of(tmp_path) == before
    assert not (tmp_path / "index.sqlite.part").exists()


SYNTAX = ['"', "*", "AND", "OR", "NOT", "NEAR(", ")", "text:", "^", "-", "_", "'", ";", "lock", "ß", "\0", " "]
HOSTILE = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(SYNTAX)).map("".join))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of one run, for many queries."""
    root = tmp_path_factory.mktemp("archive")
    keys = Keys(tmp_path_factory.mktemp("configuration"))
    staging = staged(root, 1)
    Records(root, keys).seal(staging, record_of(1, run_id=staging.run_id), at=AT, who="ana")
    return root


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=HOSTILE, label=st.text(max_size=9))
def test_no_query_is_an_error_of_the_database(archive: Path, text: str, label: str) -> None:
    """It is answered as a scan answers it, or refused as one that holds no word."""
    inode = consult(archive, lambda _: (archive / "index.sqlite").stat().st_ino)
    try:
        query = replace(asked(text), labels=((Label.PERSON, label),) if label else ())
    except BadInput:
        return
    ids = consult(archive, lambda index: [summary.run_id for summary in index.search(query)])
    assert ids == [summary.run_id for summary in scan(archive, query)]
    assert (archive / "index.sqlite").stat().st_ino == inode


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_whatever_a_record_says_is_found_by_its_own_words(archive: Path, text: str) -> None:
    """One word of it is one word of the index."""
    path = Records(archive).folder_of(next(Records(archive).newest_first()).name) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "reason": text}))
    consult(archive, lambda index: index.refresh([path.parent.name]))
    for word in text.split():
        try:
            query = asked(word.replace("*", " ").replace('"', " "))
        except BadInput:
            continue
        assert consult(archive, lambda index: len([*index.search(query)])) == 1  # noqa: B023


def test_the_ledger_is_never_written_by_the_index(tmp_path: Path, add: Add) -> None:
    """A cache reads."""
    add(1)
    lines = Ledger(tmp_path).lines()
    reindex(tmp_path, lambda _: None)
    assert Ledger(tmp_path).lines() == lines

"""Records on their way out: verified elsewhere, exported, audited, pruned, redacted, their heads copied."""

import csv
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ops_lib.archive.amendments import Amendments
from ops_lib.archive.heads import HEAD, PUBLIC
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import Staging
from ops_lib.archive.verification import verify_archive
from ops_lib.model import ulid
from ops_lib.model.errors import BadInput, DoesNotVerify
from ops_lib.model.ledger import EntryKind
from ops_lib.model.snapshot import IndexState, Snapshot
from ops_lib.model.target import Guard, Identity
from ops_lib.operations.audit import audit
from ops_lib.operations.desk import Desk
from ops_lib.operations.export import export
from ops_lib.operations.prune import prunable, prune
from ops_lib.operations.publish import publish_head
from ops_lib.operations.redact import redact
from ops_lib.operations.verify import accept_loss, verify, verify_copy

START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "correct-horse-battery"
SealRun = Callable[..., Path]


@pytest.fixture
def seal_run(desk: Desk) -> SealRun:
    """Seals run number N, a day after the one before, without a kernel."""

    def seal(number: int, *, text: str = "", attached: Mapping[str, bytes] | None = None, **more: Any) -> Path:
        at = START + timedelta(days=number)
        staging = Staging.create(desk.archive, ulid.make(at, bytes([number % 256] * 10)))
        hazard = more.pop("hazard", "read-only")
        opened = {
            "runbook": {"id": "TST-001", "title": "A test", "hazard": hazard, "owner": "devops", "file": "t.ipynb"},
            "cause": {"kind": "person", "who": "=ana", "how_known": "local user"},
            "reason": "=SUM(A1)", "ticket": "T-1", "parameters": {},
            "target": {"name": "demo", "system_identifier": "7", "database": "platform"},
        }  # fmt: skip
        staging.append({"kind": "opened", "at": "x", "text": text}, durable=True)
        stamp = {"at": at, "who": "ana", "run_id": staging.run_id}
        Ledger(desk.archive, desk.keys).append(EntryKind.INTENT, body=opened, **stamp)
        cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"it is {text}"}]
        staging.write("notebook.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode())
        staging.write("report.html", f"<p>{text}</p>".encode())
        for name, content in (attached or {}).items():
            staging.attach(name, content)
        record = {
            "run_id": staging.run_id, **opened, "outcome": "succeeded", "queued_at": at.isoformat(), "findings": [],
            "statements": [], "steps": [], "started_at": at.isoformat(), "ended_at": at.isoformat(), "metrics": {},
            "incident": None, "handoffs": [], "approvals": [], "note": text, **more,
        }  # fmt: skip
        return Records(desk.archive, desk.keys).seal(staging, record, at=at, who="ana")

    return seal


def test_a_record_folder_verifies_wherever_it_is_copied(desk: Desk, seal_run: SealRun, tmp_path: Path) -> None:
    """With a key as a text or a file; without one, with the one that lies near or is ours."""
    folder = seal_run(1)
    elsewhere = tmp_path / "elsewhere/record"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    key = desk.archive / PUBLIC
    for given in ([str(key)], [key.read_text().strip()], []):
        assert verify_copy(desk, elsewhere, keys=given).faults == ()
    stranger = replace(desk, configuration=tmp_path / "nobody")
    with pytest.raises(BadInput, match="no key"):
        verify_copy(stranger, elsewhere)
    (elsewhere.parent / PUBLIC).write_bytes(key.read_bytes())
    assert verify_copy(stranger, elsewhere).faults == ()
    (elsewhere / "report.html").write_text("other")
    assert [str(fault) for fault in verify_copy(desk, elsewhere).faults] == ["record/report.html was changed"]


def test_an_archive_is_held_against_a_kept_head(desk: Desk, seal_run: SealRun, tmp_path: Path) -> None:
    """As a file or as its text."""
    seal_run(1)
    kept = tmp_path / "kept.head"
    kept.write_bytes((desk.archive / HEAD).read_bytes())
    seal_run(2)
    for since in (str(kept), kept.read_text()):
        assert verify(desk, since=[since]).faults == ()
    lines = Ledger(desk.archive).lines()
    Ledger(desk.archive).path.write_bytes(lines[0] + b"\n")
    assert any("its end was cut off" in str(fault) for fault in verify(desk, since=[str(kept)]).faults)
    with pytest.raises(BadInput, match="no signed head"):
        verify(desk, since=[str(tmp_path / "none")])


def test_an_export_is_checked_by_nothing_but_itself(desk: Desk, seal_run: SealRun, tmp_path: Path) -> None:
    """Unpacked anywhere, with a bare Python; what was changed in it is named."""
    folder = seal_run(1, text="hello")
    public = (desk.archive / PUBLIC).read_bytes()
    path = export(desk, folder.name, tmp_path / "run.zip")
    with zipfile.ZipFile(path) as packed:
        assert packed.read("README.txt").count(b"\n") == 5
        packed.extractall(tmp_path / "out")
    bare = [sys.executable, "-I", "-S", str(tmp_path / "out/verifier.py")]  # -S: no installed library is seen
    for command in (bare, [*bare, "--key", str(desk.archive / PUBLIC)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        assert done.stdout.startswith(f"OK: run {folder.name} is what was signed")
    (tmp_path / "out/record/report.html").write_text("bye")
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (6, "DOES NOT VERIFY: report.html was changed\n")
    asked = subprocess.run([*bare, "--key", "/nonexistent"], capture_output=True, text=True, check=False)
    assert (asked.returncode, "the key cannot be read" in asked.stderr) == (2, True)
    (tmp_path / "out/key.vkey").write_text("changed")
    assert subprocess.run(bare, capture_output=True, check=False).returncode == 6
    with pytest.raises(BadInput, match="there already"):
        export(desk, folder.name, path)
    (desk.archive / PUBLIC).unlink()
    with pytest.raises(DoesNotVerify, match=r"key\.vkey is missing"):
        export(desk, folder.name, tmp_path / "again.zip")
    (desk.archive / PUBLIC).write_bytes(public)
    (folder / "report.html").write_text("bye")
    with pytest.raises(DoesNotVerify):
        export(desk, folder.name, tmp_path / "again.zip")
    assert not (tmp_path / "again.zip").exists()


def test_a_leaked_secret_is_purged_from_every_file(desk: Desk, seal_run: SealRun) -> None:
    """In every form that is looked for, and verification holds and says so."""
    folder = seal_run(1, text=SECRET, attached={"dump.txt": SECRET.encode(), "other.bin": b"\xff\x00"})
    run_id, changed = redact(desk, "last", reason=f"printed {SECRET}", secrets=[SECRET])
    assert run_id == folder.name
    assert set(changed) == {"record.json", "notebook.ipynb", "report.html", "journal.jsonl", "attachments/dump.txt"}
    for path in (path for path in desk.archive.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    found = verify(desk)
    assert (found.faults, found.redacted) == ((), (folder.name,))
    record = Records(desk.archive).read(folder)
    assert "[hidden:secret]" in record["note"]
    assert all((folder / item["path"]).stat().st_size == item["bytes"] for item in record["files"])
    with pytest.raises(BadInput, match="holds nothing of that"):
        redact(desk, "last", reason="again", secrets=[SECRET])


def test_a_whole_file_is_taken_out_and_damage_is_not_covered_up(desk: Desk, seal_run: SealRun) -> None:
    """A placeholder stands for it; a record that does not verify is left as it is."""
    folder = seal_run(1, attached={"plot.png": b"\x89PNG secret"})
    redact(desk, folder.name, reason="a name in the plot", paths=["attachments/plot.png", "report.html"])
    assert b"a name in the plot" in (folder / "attachments/plot.png").read_bytes()
    assert verify(desk).faults == ()
    for path in ("record.json", "../../../x", "none"):
        with pytest.raises(BadInput, match="cannot be taken out"):
            redact(desk, folder.name, reason="x", paths=[path])
    (folder / "notebook.ipynb").write_text("{}")
    with pytest.raises(DoesNotVerify):
        redact(desk, folder.name, reason="x", paths=["journal.jsonl"])


def test_what_the_ledger_holds_is_told_and_stays(desk: Desk, seal_run: SealRun) -> None:
    """Reasons and parameters are in its entries, which are never rewritten."""
    told: list[str] = []
    seal_run(1, text="=SUM(A1)")
    redact(replace(desk, warn=told.append), "last", reason="x", secrets=["=SUM(A1)"])
    assert [text for text in told if "entry 0 of the ledger holds it too" in text]


def test_old_records_are_pruned_but_the_last_and_the_needed(desk: Desk, seal_run: SealRun) -> None:
    """A dry run changes nothing; incidents, open handoffs and damage keep a record."""
    folders = [
        seal_run(0), seal_run(1, incident="INC-1"), seal_run(2, handoffs=[{"to": "data", "acknowledged_at": None}]),
        seal_run(3), seal_run(4), seal_run(5),
    ]  # fmt: skip
    (folders[3] / "report.html").write_text("other")
    later = replace(desk, clock=lambda: START + timedelta(days=100))
    found = prunable(later, older_than=timedelta(days=90), keep_last=2)
    fates = {candidate.run_id: candidate.stays for candidate in found}
    assert fates == {
        folders[3].name: "does not verify",
        folders[2].name: "it has an open handoff",
        folders[1].name: "incident INC-1 refers to it",
        folders[0].name: None,
    }
    assert all(folder.exists() for folder in folders)
    assert prune(later, older_than=timedelta(days=90), keep_last=2) == found
    assert [folder.exists() for folder in folders] == [False, True, True, True, True, True]
    verified = verify(desk)
    assert verified.pruned == (folders[0].name,)
    assert [fault.where for fault in verified.faults] == [f"{folders[3].relative_to(desk.archive)}/report.html"]
    Ledger(desk.archive).path.write_bytes(b"")
    with pytest.raises(DoesNotVerify):
        prune(later, older_than=timedelta(days=90), keep_last=2)


def test_redactions_at_once_undo_nothing(desk: Desk, seal_run: SealRun) -> None:
    """Each is made of what the one before left."""
    folder = seal_run(1, text="first-secret second-secret")
    secrets = ("first-secret", "second-secret")
    with ThreadPoolExecutor(2) as executor:
        done = [executor.submit(redact, desk, folder.name, reason="it leaked", secrets=[s]) for s in secrets]
        assert [item.result()[0] for item in done] == [folder.name] * 2
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert [secret.encode() in content for secret in secrets] == [False, False]
    assert verify(desk).faults == ()


def test_a_pruned_run_is_still_told_of(desk: Desk, seal_run: SealRun) -> None:
    """Who asks for it hears when, by whom and why it went; a second prune removes nothing."""
    folder, _ = seal_run(1), seal_run(2)
    amendments = Amendments(desk.archive, desk.keys)
    at = START + timedelta(days=9)
    assert amendments.remove(folder.name, reason="too old", at=at, who="ben")
    assert not amendments.remove(folder.name, reason="too old", at=at, who="ben")
    with pytest.raises(BadInput, match=r"was pruned at 2026-01-10\S* by ben: too old"):
        verify(desk, folder.name)


def test_verification_raises_no_alarm_while_others_work(desk: Desk, seal_run: SealRun) -> None:
    """Runs are sealed and redacted by another thread, and each verification finds a whole archive."""
    seal_run(0, text="the-secret-of-0")
    stop = Event()

    def work() -> int:
        for number in count(1):
            folder = seal_run(number, text=f"the-secret-of-{number}")
            redact(desk, folder.name, reason="it leaked", secrets=[f"the-secret-of-{number}"])
            if stop.is_set():
                return number
        raise AssertionError

    with ThreadPoolExecutor(1) as executor:
        worked = executor.submit(work)
        found = []
        while len(found) < 20 or verify(desk).entries < 20:
            found.append(verify(desk).faults)
        stop.set()
        assert worked.result() > 1
    assert found == [()] * len(found)


def test_a_loss_is_accepted_only_where_there_is_one(desk: Desk, seal_run: SealRun) -> None:
    """What the ledger says for good is true."""
    seal_run(1)
    with pytest.raises(BadInput, match="nothing is lost"):
        accept_loss(desk, "a guess")
    lines = Ledger(desk.archive).lines()
    Ledger(desk.archive).path.write_bytes(lines[0] + b"\n")
    accept_loss(desk, "the disk was lost")
    (restored,) = (e for e in Ledger(desk.archive, desk.keys).entries() if e.kind == EntryKind.RESTORED)
    assert "has 1 now" in restored.body["instead_of"]


def test_an_audit_has_every_run_of_the_period(desk: Desk, seal_run: SealRun, tmp_path: Path) -> None:
    """Also one that was never sealed and one that was pruned; nothing in it is taken for a formula."""
    folders = [seal_run(number) for number in range(4)]
    staging = Staging.create(desk.archive, ulid.make(START + timedelta(days=2), bytes([99] * 10)))
    at = START + timedelta(days=2)
    Ledger(desk.archive, desk.keys).append(EntryKind.INTENT, at=at, who="ana", run_id=staging.run_id, body={})
    later = replace(desk, clock=lambda: START + timedelta(days=900))
    prune(later, older_than=timedelta(days=400), keep_last=3)
    made = audit(desk, since="2026-01-01", until="2026-01-03", sample=5, folder=tmp_path / "audit")
    with (tmp_path / "audit/runs.csv").open(newline="") as file:
        rows = {row["run_id"]: row for row in csv.DictReader(file)}
    assert (made.runs, made.unsealed, made.faults) == (4, 1, 0)
    assert {run_id: row["record"] for run_id, row in rows.items()} == {
        folders[0].name: "pruned", folders[1].name: "kept", folders[2].name: "kept", staging.run_id: "not sealed",
    }  # fmt: skip
    row = rows[folders[0].name]
    assert (row["requester"], row["reason"], row["author"]) == ("'=ana", "'=SUM(A1)", "devops")
    assert (row["outcome"], row["emergency"], row["started_at"][:10]) == ("succeeded", "no", "2026-01-01")
    assert sorted(made.sampled) == sorted(folder.name for folder in folders[1:3])
    assert sorted(path.stem for path in (tmp_path / "audit/evidence").iterdir()) == sorted(made.sampled)
    statement = (tmp_path / "audit/statement.txt").read_text()
    assert made.root in statement
    assert (desk.archive / HEAD).read_text() in statement


def snapshot(day: float, *indexes: str) -> bytes:
    """A look at a database that has these indexes."""
    made = [
        IndexState(
            table="public.t", name=name, shape=f"btree ({name})", columns=(name,), unique=False, valid=True,
            partial=False, constraint=None, scans=0, pages=1,
        )
        for name in indexes
    ]  # fmt: skip
    identity = Identity(
        system_identifier="7", database="platform", user="ana", server_version=180000, extensions={},
        guard=Guard.ROLE, can_monitor=True, can_read_all=True, in_recovery=False,
    )  # fmt: skip
    return Snapshot(
        taken_at=START + timedelta(days=day), identity=identity, settings={}, tables=(), indexes=tuple(made),
        columns=(), statements=None,
    ).to_bytes()  # fmt: skip


def test_an_audit_names_schema_changes_that_no_record_explains(desk: Desk, seal_run: SealRun, tmp_path: Path) -> None:
    """An index that a changing run made is explained; one that appeared by itself is not."""
    seal_run(1, attached={"snapshot.json.gz": snapshot(1, "a")})
    changing = seal_run(2, hazard="changes", statements=[{"sql": "CREATE INDEX b ON public.t (b)"}])
    seal_run(3, attached={"snapshot.json.gz": snapshot(3, "a", "b", "c")})
    made = audit(desk, since="2026-01-01", until="2026-01-31", folder=tmp_path / "audit")
    with (tmp_path / "audit/changes.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert made.unexplained == 1
    assert (row["change"], row["subject"], row["changing_runs_between"]) == ("index new", "public.t", changing.name)
    assert "(c)" in row["after"]


def test_heads_are_pushed_to_a_git_remote_and_a_failure_is_only_told(
    desk: Desk, seal_run: SealRun, tmp_path: Path
) -> None:
    """Each head is a commit, so that the remote keeps all of them."""
    remote = tmp_path / "heads.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    told: list[str] = []
    watched = replace(desk, head_copies=(f"git:{remote}", str(tmp_path / "missing")), warn=told.append)
    for number in range(2):
        seal_run(number)
        publish_head(watched)
    git = ["git", "-C", str(remote)]
    log = subprocess.run([*git, "log", "--format=%s", "ledger-heads"], capture_output=True, text=True, check=True)
    assert log.stdout.split("\n") == ["4 entries", "2 entries", ""]
    name = subprocess.run([*git, "ls-tree", "--name-only", "ledger-heads"], capture_output=True, text=True, check=True)
    shown = subprocess.run(
        [*git, "show", f"ledger-heads:{name.stdout.strip()}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == (desk.archive / HEAD).read_text()
    assert verify(desk, since=[shown.stdout]).faults == ()
    assert ["missing" in text for text in told] == [True, True]
    assert verify_archive(desk.archive).faults == ()

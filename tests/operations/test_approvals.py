"""Runs that wait for people: who may say yes, to what, until when, and what becomes of the run."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.verification import verify_archive
from ops_lib.model.approval import Kind, statement
from ops_lib.model.errors import Refused, WaitsForApproval
from ops_lib.model.ledger import Entry, EntryKind
from ops_lib.model.people import Person
from ops_lib.model.run import Request
from ops_lib.model.target import Login, Target
from ops_lib.operations.approve import Yes, approve, decline, go_on
from ops_lib.operations.desk import Desk
from ops_lib.operations.proceed import waiting_run
from ops_lib.operations.recover import recover
from ops_lib.operations.resume import resume
from ops_lib.operations.review import review
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.waiting import Waiting, all_waiting, owed
from tests.conftest import open_session
from tests.operations.conftest import CAUSE
from tests.operations.test_steps import NEEDS, START, dies_once, effects

WriteRunbook = Callable[..., Request]
PLAN = "p = plan(\"INSERT INTO effects VALUES ('a')\")\np"
CHANGE = (START, "step('before', lambda: 1)", PLAN, "approved(p)", "step('apply', p.apply)")
DAYS = "days: int = 3  # how many (1 to 99)"


@pytest.fixture
def guarded(desk: Desk, database: Login) -> Desk:
    """The desk of ana, whose target demands one approval and is an empty database with a table of effects."""
    with open_session(database) as session:
        session.execute("CREATE TABLE effects (name text)")
    return replace(desk, reach=lambda *_: database, targets=demanding(1))


def demanding(approvals: int, *, production: bool = False) -> dict[str, Target]:
    return {"demo": Target(name="demo", embedded=True, approvals=approvals, production=production)}


def by(desk: Desk, who: str) -> Desk:
    """The same desk with somebody else at it."""
    return replace(desk, who=who)


def left_waiting(desk: Desk, request: Request) -> Waiting:
    """A run that has asked for an approval."""
    with pytest.raises(WaitsForApproval):
        run(desk, request)
    (found,) = all_waiting(desk)
    return found


def change(write_runbook: WriteRunbook, **more: Any) -> Request:
    """A run that asks before its second step; the first needs nobody on this target only because it is not there."""
    return write_runbook(START, PLAN, "approved(p)", "step('apply', p.apply)", **{**NEEDS, **more})


def test_a_run_waits_survives_and_goes_on_as_itself(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """Waiting it holds neither kernel nor lock and recovery leaves it alone; after a yes the same run goes on."""
    found = left_waiting(guarded, change(write_runbook))
    assert (found.missing, found.asking.terms.plan.statements) == (1, ("INSERT INTO effects VALUES ('a')",))
    assert (recover(guarded).sealed, effects(database)) == ((), [])
    assert run(guarded, write_runbook(START, **NEEDS)).record["outcome"] == "succeeded"
    change(write_runbook)
    with pytest.raises(WaitsForApproval, match="one person has to approve it yet"):
        go_on(guarded, found.run_id, CAUSE)
    approve(by(guarded, "ben"), found, Yes())
    sealed = go_on(guarded, found.run_id, CAUSE)
    assert (sealed.record["run_id"], sealed.record["outcome"]) == (found.run_id, "succeeded")
    assert effects(database) == ["a"]
    (kept,) = sealed.record["approvals"]
    assert (kept["who"], kept["digest"], kept["kind"]) == ("ben", found.digest, "once")
    assert [cell["status"] for cell in sealed.record["cells"]] == ["ok"] * 4
    notebook = json.loads((sealed.folder / "notebook.ipynb").read_bytes())
    assert "WaitsForApproval" not in json.dumps(notebook)
    assert all_waiting(guarded) == []
    assert verify_archive(guarded.archive).faults == ()


def test_steps_before_the_gate_need_an_approval_too(guarded: Desk, write_runbook: WriteRunbook) -> None:
    """The gate is the target's, and not the notebook's: a step without `approved` before it is refused."""
    sealed = run(guarded, write_runbook(*CHANGE, **NEEDS))
    assert sealed.record["outcome"] == "refused"
    assert "demands the approval of one person" in sealed.record["error"]["message"]
    swallowed = "try:\n    approved(p)\nexcept Exception:\n    pass"
    sealed = run(guarded, write_runbook(START, PLAN, swallowed, "step('apply', p.apply)", **NEEDS))
    assert (sealed.record["outcome"], sealed.record["steps"]) == ("refused", [])


def test_a_connection_string_is_no_way_around(guarded: Desk, write_runbook: WriteRunbook) -> None:
    """A target without a name demands as much as the strictest that has one."""
    with pytest.raises(WaitsForApproval):
        run(guarded, change(write_runbook, target="host=/nowhere dbname=x"))


def test_whatever_changes_voids_the_yes(guarded: Desk, database: Login, write_runbook: WriteRunbook) -> None:
    """Another plan asks again, another runbook is refused with the difference, and an expired yes is none."""
    with open_session(database) as session:
        session.execute("CREATE TABLE todo AS SELECT 'a'::text AS name")
    cell = "p = plan(*[f\"INSERT INTO effects VALUES ('{r['name']}')\" for r in target().rows('TABLE todo')])"
    request = write_runbook(START, cell, "approved(p)", "step('apply', p.apply)", **NEEDS)
    found = left_waiting(guarded, request)
    approve(by(guarded, "ben"), found, Yes())
    with open_session(database) as session:
        session.execute("INSERT INTO todo VALUES ('b')")
    with pytest.raises(WaitsForApproval):
        go_on(guarded, found.run_id, CAUSE)
    (again,) = all_waiting(guarded)
    assert again.digest != found.digest
    approve(by(guarded, "ben"), again, Yes(length=timedelta(hours=1)))
    late = replace(guarded, clock=lambda: guarded.clock() + timedelta(hours=2))
    with pytest.raises(WaitsForApproval):
        go_on(late, found.run_id, CAUSE)
    write_runbook(START, f"{cell} # changed", "approved(p)", "step('apply', p.apply)", **NEEDS)
    with pytest.raises(Refused, match="cell c1 had"):
        go_on(guarded, found.run_id, CAUSE)
    assert (effects(database), len(all_waiting(guarded))) == ([], 1)


def test_where_two_are_demanded_the_requester_is_none_of_them(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """Two different people, and neither the one who asked, under whatever account."""
    strict = replace(guarded, targets=demanding(2), people={"ann": Person(name="ann", users=("ana",))})
    found = left_waiting(strict, change(write_runbook))
    for who in ("ana", "ana (as root)"):
        with pytest.raises(Refused, match="demands others"):
            approve(by(strict, who), found, Yes())
    for _ in range(2):
        approve(by(strict, "ben"), found, Yes())
    with pytest.raises(WaitsForApproval):
        go_on(strict, found.run_id, CAUSE)
    approve(by(strict, "eve"), found, Yes())
    sealed = go_on(strict, found.run_id, CAUSE)
    assert [item["who"] for item in sealed.record["approvals"]] == ["ben", "eve"]
    assert effects(database) == ["a"]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_on_production_a_yes_is_signed(
    guarded: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """By a key that is mapped to a person; an unsigned yes, a stranger's key and a withdrawn key do not count."""
    keys = {name: ssh_key(tmp_path / name) for name in ("ben", "mallory")}
    people = {"ben": Person(name="ben", keys=(keys["ben"],), users=("b",))}
    strict = replace(guarded, targets=demanding(0, production=True), people=people)
    found = left_waiting(strict, change(write_runbook))
    with pytest.raises(Refused, match="wants approvals signed"):
        approve(strict, found, Yes())
    with pytest.raises(Refused, match="belongs to nobody"):
        approve(strict, found, Yes(key=tmp_path / "mallory"))
    approve(strict, found, Yes(key=tmp_path / "ben"))
    with pytest.raises(WaitsForApproval):
        go_on(replace(strict, people={}), found.run_id, CAUSE)
    with pytest.raises(WaitsForApproval):
        go_on(replace(strict, people={"ben": Person(name="ben", keys=(keys["mallory"],))}), found.run_id, CAUSE)
    sealed = go_on(strict, found.run_id, CAUSE)
    (kept,) = sealed.record["approvals"]
    assert kept["who"] == "ben"
    assert kept["how_known"].startswith("SSH key ssh-ed25519")
    assert effects(database) == ["a"]


def ssh_key(path: Path) -> str:
    """A new key pair; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def test_a_standing_yes_covers_later_runs_within_its_bounds(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """The same plan with a parameter in bounds runs at once; out of bounds, or after its end, it waits."""
    request = change(write_runbook, declares=DAYS)
    found = left_waiting(guarded, request)
    approve(by(guarded, "ben"), found, Yes(standing=True, bounds={"days": "1..9"}, length=timedelta(days=30)))
    assert go_on(guarded, found.run_id, CAUSE).record["outcome"] == "succeeded"
    inside = run(guarded, replace(request, parameters={"days": 9}))
    assert inside.record["approvals"][0]["kind"] == "standing"
    with pytest.raises(WaitsForApproval):
        run(guarded, replace(request, parameters={"days": 10}))
    late = replace(guarded, clock=lambda: guarded.clock() + timedelta(days=31))
    with pytest.raises(WaitsForApproval):
        run(late, request)
    assert effects(database) == ["a", "a"]


def test_a_yes_is_for_one_run(guarded: Desk, write_runbook: WriteRunbook) -> None:
    """A second run of the same digest asks again."""
    request = change(write_runbook)
    found = left_waiting(guarded, request)
    approve(by(guarded, "ben"), found, Yes())
    go_on(guarded, found.run_id, CAUSE)
    assert left_waiting(guarded, request).digest == found.digest


def test_a_broken_glass_goes_on_and_is_owed_a_review(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """At once, flagged in record, report, verdict and ledger; the one who broke it cannot review it."""
    strict = replace(guarded, targets=demanding(2))
    sealed = run(strict, replace(change(write_runbook), break_glass="it burns"))
    assert (sealed.record["outcome"], effects(database)) == ("succeeded", ["a"])
    (kept,) = sealed.record["approvals"]
    assert (kept["kind"], kept["who"], kept["reason"]) == ("break-glass", "ana", "it burns")
    assert "it burns" in (sealed.folder / "report.html").read_text()
    assert [entry.kind for entry in Ledger(strict.archive).entries()] == ["intent", "break-glass", "result"]
    (due,) = owed(strict)
    assert (due.run_id, due.reason) == (sealed.record["run_id"], "it burns")
    with pytest.raises(Refused, match="somebody else"):
        review(strict, due.run_id, "fine")
    review(by(strict, "ben"), due.run_id, "fine")
    assert list(owed(strict)) == []
    assert verify_archive(strict.archive).faults == ()


def test_a_waiting_run_can_be_declined_or_its_glass_broken(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """A no seals it as refused with who and why; a broken glass lets the same run go on."""
    found = left_waiting(guarded, change(write_runbook))
    sealed = decline(by(guarded, "ben"), found.run_id, "not today")
    assert sealed.record["outcome"] == "refused"
    assert sealed.record["error"]["message"] == "declined by ben: not today"
    found = left_waiting(guarded, change(write_runbook))
    again: Sealed = go_on(guarded, found.run_id, CAUSE, break_glass="it burns")
    assert again.record["approvals"][0]["kind"] == "break-glass"
    assert effects(database) == ["a"]


def test_a_yes_lasts_over_a_resume_until_it_expires(
    guarded: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """What was approved is gone on with after a kill; later the run that resumes it waits itself, and then goes on."""
    dies = f"{dies_once(tmp_path / 'one')}\n{dies_once(tmp_path / 'two')}\nstep('more', lambda: 1)"
    request = write_runbook(START, PLAN, "approved(p)", "step('apply', p.apply)", dies, **NEEDS)
    found = left_waiting(guarded, request)
    approve(by(guarded, "ben"), found, Yes())
    first = go_on(guarded, found.run_id, CAUSE)
    assert (first.record["outcome"], effects(database)) == ("failed", ["a"])
    second = resume(guarded, found.run_id, {}, CAUSE)
    assert (second.record["outcome"], second.record["approvals"][0]["who"]) == ("failed", "ben")
    late = replace(guarded, clock=lambda: guarded.clock() + timedelta(hours=9))
    with pytest.raises(WaitsForApproval):
        resume(late, found.run_id, {}, CAUSE)
    (again,) = all_waiting(late)
    assert (again.digest, again.steps_done) == (found.digest, ("apply",))
    approve(by(late, "eve"), again, Yes())
    third = resume(late, found.run_id, {}, CAUSE)
    assert (third.record["run_id"], third.record["resumes"]) == (again.run_id, second.record["run_id"])
    assert [(step["name"], step["status"]) for step in third.record["steps"]] == [
        ("apply", "carried"),
        ("more", "done"),
    ]
    assert effects(database) == ["a"]
    assert verify_archive(late.archive).faults == ()


def test_a_run_that_dies_while_it_goes_on_is_sealed_and_resumed(
    guarded: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """It waits no more: recovery seals it as interrupted, and its yes still holds for the run that resumes it."""
    found = left_waiting(guarded, change(write_runbook))
    approve(by(guarded, "ben"), found, Yes())
    staging = waiting_run(guarded, found.run_id)
    with pytest.raises(Refused, match="somebody is working on"):
        go_on(guarded, found.run_id, CAUSE)
    staging.append({"kind": "continued", "at": staging.events[-1]["at"], "owner": None}, durable=True)
    staging.close()
    assert recover(guarded).sealed == (found.run_id,)
    again = resume(guarded, found.run_id, {}, CAUSE)
    assert (again.record["outcome"], again.record["resumes"]) == ("succeeded", found.run_id)
    assert effects(database) == ["a"]


def test_what_no_signed_head_covers_is_no_yes(guarded: Desk, database: Login, write_runbook: WriteRunbook) -> None:
    """An entry that somebody has put into the file of the ledger by hand lets nothing go on."""
    found = left_waiting(guarded, change(write_runbook))
    lines = Ledger(guarded.archive).lines()
    until = {"kind": Kind.ONCE, "expires_at": "2999-01-01T00:00:00.000Z", "bounds": {}}
    said = statement(digest=found.digest, run_id=found.run_id, who="ben", **until)
    entry = Entry.after(
        lines[-1], seq=len(lines), at=found.since, kind=EntryKind.APPROVAL, run_id=found.run_id, who="ben",
        body={**said, "how_known": "forged"},
    )  # fmt: skip
    with (guarded.archive / "ledger.jsonl").open("ab") as ledger:
        ledger.write(entry.line() + b"\n")
    assert [item.missing for item in all_waiting(guarded)] == [1]
    with pytest.raises(WaitsForApproval):
        go_on(guarded, found.run_id, CAUSE)
    assert effects(database) == []

"""Handoffs of real runs: owed from the sealing on, made once however a run goes on, closed once by one person."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops_lib.archive.handoffs import Standing
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import BadInput, DoesNotVerify, Refused, WaitsForApproval
from ops_lib.model.handoff import digest, read_handoff
from ops_lib.model.ledger import EntryKind
from ops_lib.model.run import Request
from ops_lib.model.target import Login, Target
from ops_lib.operations.acknowledge import acknowledge, all_handoffs, find, read_file, reject, send
from ops_lib.operations.approve import Yes, approve, go_on
from ops_lib.operations.conversation import Unsupervised
from ops_lib.operations.desk import Desk
from ops_lib.operations.prune import prunable, prune
from ops_lib.operations.recover import recover
from ops_lib.operations.redact import redact
from ops_lib.operations.resume import resume
from ops_lib.operations.run import Sealed, run
from ops_lib.operations.waiting import all_waiting
from tests.operations.conftest import CAUSE
from tests.operations.test_steps import NEEDS, START, dies_once, id_of

WriteRunbook = Callable[..., Request]
HANDBOOK = Path(__file__).parents[1] / "handbook"
MOVED = {"trigger": "backup_moved", "context": {"place": "s3"}}


def says(message: Mapping[str, Any], more: str = "") -> str:
    """A cell that hands off."""
    return f"handoff({message!r}{more})"


def owed(desk: Desk) -> list[Standing]:
    return all_handoffs(desk, closed=False)


def handed_off(desk: Desk, write_runbook: WriteRunbook, message: Mapping[str, Any] = MOVED) -> Sealed:
    """A run that hands off to etl, sealed."""
    return run(desk, write_runbook(START, says(message, ", to='etl'")))


def test_a_handoff_is_sealed_and_owed(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The record has the message, the ledger its digest, the report shows it, and the archive verifies."""
    text = (HANDBOOK / "database_migration_complete.yaml").read_text(encoding="utf-8")
    sealed = run(desk, write_runbook(START, f"handoff({text!r})"))
    assert sealed.record["outcome"] == "succeeded", sealed.record["error"]
    (kept,) = sealed.record["handoffs"]
    assert (kept["from"], kept["to"], kept["acknowledged_at"]) == ("ana", "etl", None)
    assert kept["message"]["context"]["new_columns"] == ["wind_gust_mph", "visibility_mi"]
    (standing,) = owed(desk)
    entry = Ledger(desk.archive, desk.keys).of_run(id_of(sealed), EntryKind.RESULT)
    assert entry is not None
    assert (standing.id, standing.since, standing.run_id) == (kept["id"], entry.at, id_of(sealed))
    assert standing.sha256 == kept["sha256"] == digest(kept["message"])
    assert find(desk, standing.id[-5:].lower()).message == kept["message"]
    assert read_handoff(kept["message"]).to_json() == kept["message"]
    report = (sealed.folder / "report.html").read_text(encoding="utf-8")
    assert "owed until it is acknowledged" in report
    assert "Test weather pipeline against new schema" in report
    assert verify_archive(desk.archive).faults == ()


def test_what_cannot_be_understood_fails_its_cell(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The record says which line and field, and nothing is owed."""
    sealed = run(desk, write_runbook(START, "handoff('trigger: moved\\nto: etl\\nurgency: soon')"))
    assert sealed.record["outcome"] == "failed"
    assert sealed.record["error"]["message"] == "handoff: line 3: urgency is 'soon', expected low, medium or high"
    assert (sealed.record["handoffs"], owed(desk)) == ([], [])
    nobody = run(desk, write_runbook(START, says(MOVED)))
    assert nobody.record["error"]["message"] == "handoff backup_moved does not say to whom it goes"


def test_saying_the_same_twice_hands_off_once(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A cell that is run again says nothing new; another message to the same team is another handoff."""
    other = {**MOVED, "context": {"place": "tape"}}
    cells = (says(message, ", to='etl'") for message in (MOVED, MOVED, other))
    sealed = run(desk, write_runbook(START, *cells))
    assert [handoff["message"]["context"]["place"] for handoff in sealed.record["handoffs"]] == ["s3", "tape"]
    assert [standing.id for standing in owed(desk)] == [handoff["id"] for handoff in sealed.record["handoffs"]]


def test_a_resumed_run_carries_what_was_handed_off(desk: Desk, write_runbook: WriteRunbook, tmp_path: Path) -> None:
    """Also where it would say something else now: what was handed off stands, and is owed since it was."""
    counted = f"n = len({str(tmp_path)!r}.split()) + __import__('pathlib').Path({str(tmp_path / 'died')!r}).exists()"
    cell = f"{counted}\nhandoff({{**{MOVED!r}, 'timeline': f'try {{n}}'}}, to='etl')"
    first = run(desk, write_runbook(START, cell, dies_once(tmp_path / "died"), says(MOVED, ", to='research'")))
    before = owed(desk)
    assert (first.record["outcome"], len(before)) == ("failed", 1)
    again = resume(desk, id_of(first), {}, CAUSE)
    assert again.record["outcome"] == "succeeded", again.record["error"]
    carried, made = again.record["handoffs"]
    assert (carried["id"], carried["made_in"], carried["message"]["timeline"]) == (
        before[0].id, id_of(first), "try 1",
    )  # fmt: skip
    assert made["made_in"] == id_of(again)
    assert owed(desk) == [*before, *owed(desk)[1:]]
    assert [standing.id for standing in owed(desk)] == [carried["id"], made["id"]]
    notebook = (again.folder / "notebook.ipynb").read_text(encoding="utf-8")
    assert "it would say something else now" in notebook


def test_a_run_that_waited_hands_off_once(desk: Desk, database: Login, write_runbook: WriteRunbook) -> None:
    """It is owed when the run is sealed, and not before."""
    guarded = replace(
        desk, reach=lambda *_: database, targets={"demo": Target(name="demo", embedded=True, approvals=1)}
    )
    cells = (says(MOVED, ", to='etl'"), "p = plan('CREATE TABLE x ()')\np", "approved(p)", "step('go', p.apply)")
    with pytest.raises(WaitsForApproval):
        run(guarded, write_runbook(START, *cells, **NEEDS))
    assert owed(guarded) == []
    (found,) = all_waiting(guarded)
    approve(replace(guarded, who="ben"), found, Yes())
    sealed = go_on(guarded, found.run_id, CAUSE)
    assert sealed.record["outcome"] == "succeeded", sealed.record["error"]
    assert [standing.id for standing in owed(guarded)] == [handoff["id"] for handoff in sealed.record["handoffs"]]
    assert len(owed(guarded)) == 1


def test_a_kill_while_it_is_sealed_leaves_it_owed_once(desk: Desk, write_runbook: WriteRunbook, tmp_path: Path) -> None:
    """Behind the entry and before the rename: the handoff is owed already, can be read, and is so after recovery."""
    sealed = handed_off(desk, write_runbook)
    staged = desk.archive / "staging" / sealed.folder.name
    (sealed.folder / "proof.json").unlink()
    sealed.folder.rename(staged)
    (standing,) = owed(desk)
    assert find(desk, standing.id).message == {**MOVED, "from": "ana", "to": "etl"}
    assert recover(desk).sealed == (sealed.folder.name,)
    assert owed(desk) == [standing]
    assert verify_archive(desk.archive).faults == ()


def test_whoever_acknowledges_first_has_done_so(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A second word is refused with who said the first; the note and how the name is known stay."""
    handed_off(desk, write_runbook)
    (standing,) = owed(desk)
    closed = acknowledge(replace(desk, who="ben"), standing.id, "schemas updated")
    assert closed.closed
    assert (closed.state, closed.closed.who, closed.closed.body["text"]) == ("acknowledged", "ben", "schemas updated")
    for act in (lambda: acknowledge(desk, standing.id), lambda: reject(desk, standing.id, "no")):
        with pytest.raises(Refused, match=r"was acknowledged by ben at .*: schemas updated"):
            act()
    assert (owed(desk), all_handoffs(desk, closed=True)) == ([], [closed])
    assert verify_archive(desk.archive).faults == ()


def test_of_many_at_once_one_acknowledges(desk: Desk, write_runbook: WriteRunbook) -> None:
    """The question whether it is owed is asked under the ledger's lock."""
    handed_off(desk, write_runbook)
    (standing,) = owed(desk)
    refused: list[Refused] = []

    def act(who: str) -> None:
        try:
            acknowledge(replace(desk, who=who), standing.id)
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=act, args=(f"person-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [e for e in Ledger(desk.archive, desk.keys).entries() if e.kind == EntryKind.ACKNOWLEDGEMENT]
    assert (len(refused), len(said)) == (3, 1)


def test_a_rejection_stays_visible(desk: Desk, write_runbook: WriteRunbook) -> None:
    """It closes the handoff with its reason, in which no secret is kept."""
    secret = "hunter2-hunter2"
    handed_off(desk, write_runbook)
    knowing = replace(desk, environment={**desk.environment, "ETL_PASSWORD": secret})
    closed = reject(knowing, owed(desk)[0].id, f"the password {secret} is gone")
    assert (closed.state, owed(desk)) == ("rejected", [])
    assert secret not in Ledger(desk.archive).path.read_text(encoding="utf-8")
    assert all_handoffs(desk, closed=True) == [closed]


def test_a_notebook_without_a_supervisor_hands_nothing_off(desk: Desk) -> None:
    """Nobody would know of it."""
    with pytest.raises(Refused, match="runbook run ID"):
        Unsupervised(desk).handoff(MOVED)


@pytest.mark.parametrize("text", ["", "ABC", "NOTTHERE"])
def test_an_unknown_handoff_is_bad_input(desk: Desk, write_runbook: WriteRunbook, text: str) -> None:
    """An end has at least four letters."""
    handed_off(desk, write_runbook)
    with pytest.raises(BadInput, match="no handoff ends in"):
        acknowledge(desk, text)


def test_a_handoff_that_is_brought_in_is_owed_by_us(desk: Desk) -> None:
    """Its message stands in the ledger; bringing it in twice makes two."""
    handoff = read_file(HANDBOOK / "schema_change_needed.yaml")
    first, second = send(desk, handoff, reason="it came by mail"), send(desk, handoff)
    assert (first.sender, first.recipient, first.reason, first.run_id) == ("etl", "devops", "it came by mail", None)
    assert first.id != second.id
    assert find(desk, first.id).message == handoff.addressed(None).to_json()
    acknowledge(desk, first.id)
    assert owed(desk) == [second]
    assert verify_archive(desk.archive).faults == ()


def test_a_secret_in_a_handoff_is_hidden(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Also one that becomes known only afterwards: the digest is of what was kept."""
    cells = ("x = 'correct' + '-horse'", "handoff({**%r, 'timeline': x}, to='etl')" % MOVED, "_ = secret(x)")  # noqa: UP031
    sealed = run(desk, write_runbook(START, *cells))
    (kept,) = sealed.record["handoffs"]
    assert "correct-horse" not in (sealed.folder / "record.json").read_text(encoding="utf-8")
    assert "[hidden:" in kept["message"]["timeline"]
    assert find(desk, kept["id"]).message == kept["message"]


def test_an_open_handoff_keeps_its_record(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A closed one does not, though the record never changes; what it said is gone with it."""
    sealed = handed_off(desk, write_runbook)
    run(desk, write_runbook(START))
    later = replace(desk, clock=lambda: desk.clock() + timedelta(days=9))

    def stays() -> list[str | None]:
        return [found.stays for found in prunable(later, older_than=timedelta(days=1), keep_last=1)]

    assert stays() == ["it has an open handoff"]
    acknowledge(desk, owed(desk)[0].id)
    assert stays() == [None]
    assert json.loads((sealed.folder / "record.json").read_bytes()) == sealed.record
    prune(later, older_than=timedelta(days=1), keep_last=1)
    (gone,) = all_handoffs(desk, closed=True)
    assert find(desk, gone.id).message is None
    assert verify_archive(desk.archive).faults == ()


def test_a_message_that_was_changed_is_not_shown(desk: Desk, write_runbook: WriteRunbook) -> None:
    """One that was redacted is, and says so."""
    sealed = handed_off(desk, write_runbook, {**MOVED, "timeline": "in room 4711"})
    (standing,) = owed(desk)
    redact(desk, id_of(sealed), reason="a room", secrets=["room 4711"])
    found = find(desk, standing.id)
    assert found.redacted
    assert "4711" not in str(found.message)
    other = handed_off(desk, write_runbook, {**MOVED, "timeline": "soon"})
    path = other.folder / "record.json"
    path.write_text(path.read_text(encoding="utf-8").replace("soon", "late"), encoding="utf-8")
    with pytest.raises(DoesNotVerify, match="does not say what was handed off"):
        find(desk, owed(desk)[1].id)

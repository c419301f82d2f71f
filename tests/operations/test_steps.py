"""Steps on a real database, and what becomes of them when a run is taken up again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ops_lib.archive.chains import past_of
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import BadInput, Refused
from ops_lib.model.run import Request
from ops_lib.model.step import Settled
from ops_lib.model.target import Login, Target
from ops_lib.operations.desk import Desk
from ops_lib.operations.resume import resume
from ops_lib.operations.run import Sealed, run
from tests.conftest import open_session
from tests.operations.conftest import CAUSE

WriteRunbook = Callable[..., Request]
START = "from ops_lib.runbook import *"
NEEDS = {"front": "needs: [target:postgres]", "hazard": "changes"}


@pytest.fixture
def on_database(desk: Desk, database: Login) -> Desk:
    """The desk, whose target is an empty database with a table of effects."""
    with open_session(database) as session:
        session.execute("CREATE TABLE effects (name text)")
    return replace(desk, reach=lambda *_: database, targets={"demo": Target(name="demo", embedded=True)})


def effect(name: str, more: str = "") -> str:
    """A cell with a step that adds a row."""
    return f"step({name!r}, lambda t: t.change(\"INSERT INTO effects VALUES ('{name}')\"){more})"


def effects(database: Login) -> list[str]:
    """The effects that are there."""
    with open_session(database) as session:
        return [str(row[0]) for row in session.execute("SELECT name FROM effects ORDER BY 1").fetchall()]


def statuses(sealed: Sealed) -> dict[str, str]:
    """What became of each step."""
    return {step["name"]: step["status"] for step in sealed.record["steps"]}


def id_of(sealed: Sealed) -> str:
    return str(sealed.record["run_id"])


def dies_once(marker: Path) -> str:
    """An expression that kills the kernel the first time that it is reached."""
    path, kill = f"__import__('pathlib').Path({str(marker)!r})", "__import__('os').kill(__import__('os').getpid(), 9)"
    return f"({path}.exists() or ({path}.touch(), {kill}))"


def test_what_ended_is_carried_and_what_did_not_begin_is_done(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """A resumed run does the rest: each effect is there once, the answer of a carried step is what it was."""
    second = f"{dies_once(tmp_path / 'died')}\n{effect('two')}"
    request = write_runbook(START, f"one = {effect('one')}\none", second, "one.answer", **NEEDS)
    first = run(on_database, request)
    assert (first.record["outcome"], statuses(first)) == ("failed", {"one": "done"})
    again = resume(on_database, id_of(first), {}, CAUSE)
    assert (again.record["outcome"], again.record["resumes"]) == ("succeeded", id_of(first))
    assert statuses(again) == {"one": "carried", "two": "done"}
    assert again.record["steps"][0]["evidence"] == {"from": id_of(first), "how": "ended", "was": 1}
    assert effects(database) == ["one", "two"]
    notebook = json.loads((again.folder / "notebook.ipynb").read_bytes())
    assert notebook["cells"][-1]["outputs"][0]["data"]["text/plain"] == "1"
    assert verify_archive(on_database.archive).faults == ()


def test_a_commit_without_an_end_is_found_by_its_row(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """The kernel dies between the effect and the end of its step: the row says that it is done, with its answer."""
    evidence = f", evidence=lambda: {dies_once(tmp_path / 'died')}"
    first = run(on_database, write_runbook(START, f"one = {effect('one', evidence)}\none", "one.answer", **NEEDS))
    assert statuses(first) == {"one": "unknown"}
    again = resume(on_database, id_of(first), {}, CAUSE)
    assert (again.record["outcome"], statuses(again)) == ("succeeded", {"one": "carried"})
    assert again.record["steps"][0]["evidence"]["how"] == "row"
    assert effects(database) == ["one"]


def test_a_step_that_did_not_commit_acts_again(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """The kernel dies inside the transaction: there is no row, so nothing happened."""
    action = f"lambda t: (t.change(\"INSERT INTO effects VALUES ('one')\"), {dies_once(tmp_path / 'died')}, 7)[2]"
    first = run(on_database, write_runbook(START, f"step('one', {action})", **NEEDS))
    assert effects(database) == []
    again = resume(on_database, id_of(first), {}, CAUSE)
    assert (statuses(again), effects(database)) == ({"one": "done"}, ["one"])
    assert again.record["steps"][0]["evidence"] == 7


def test_an_action_that_fails_leaves_nothing_and_is_done_when_resumed(
    on_database: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """What a failed statement leaves is undone with the row; a failed step is probed like one without an end."""
    table = 't.change("INSERT INTO missing VALUES (1)")'
    action = f"lambda t: (t.change(\"INSERT INTO effects VALUES ('one')\"), {table})[1]"
    first = run(on_database, write_runbook(START, f"step('one', {action})", **NEEDS))
    assert (statuses(first), effects(database)) == ({"one": "failed"}, [])
    with open_session(database) as session:
        session.execute("CREATE TABLE missing (a int)")
    again = resume(on_database, id_of(first), {}, CAUSE)
    assert (statuses(again), effects(database)) == ({"one": "done"}, ["one"])


@pytest.mark.parametrize(
    ("probe", "settled", "status", "count"),
    [
        ("lambda: True", {}, "carried", 1),
        ("lambda: False", {}, "done", 2),
        ("lambda: None", {}, None, 1),
        ("lambda: 1 / 0", {}, None, 1),
        ("lambda: 'yes'", {}, None, 1),
        ("None", {}, None, 1),
        ("None", {"one": Settled.DONE}, "carried", 1),
        ("None", {"one": Settled.REDO}, "done", 2),
    ],
)
def test_an_action_outside_of_the_database_is_probed_or_asked_about(
    desk: Desk, write_runbook: WriteRunbook, tmp_path: Path, probe: str, settled: dict[str, Settled],
    status: str | None, count: int,
) -> None:  # fmt: skip
    """True is done, False is not done; anything else, and no probe, is for a person, and is refused without one."""
    log = tmp_path / "log"
    action = f"lambda: (open({str(log)!r}, 'a').write('x'), {dies_once(tmp_path / 'died')}, None)[2]"
    first = run(desk, write_runbook(START, f"step('one', {action}, probe={probe})"))
    assert statuses(first) == {"one": "unknown"}
    again = resume(desk, id_of(first), settled, CAUSE)
    assert len(log.read_text()) == count
    if status:
        assert (again.record["outcome"], statuses(again)) == ("succeeded", {"one": status})
        return
    assert (again.record["outcome"], statuses(again)) == ("refused", {})
    hint = f"runbook resume {id_of(again)} --step one=done or runbook resume {id_of(again)} --step one=redo"
    assert hint in again.record["error"]["hint"]
    third = resume(desk, id_of(first), {"one": Settled.DONE}, CAUSE)
    assert (third.record["resumes"], statuses(third)) == (id_of(again), {"one": "carried"})


def test_an_action_that_commits_by_itself_is_unknown(
    on_database: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """A half that was committed is never taken for the whole, nor for nothing."""
    action = "lambda t: (t.change(\"INSERT INTO effects VALUES ('half')\"), t.rows('COMMIT'))[0]"
    first = run(on_database, write_runbook(START, f"step('one', {action})", **NEEDS))
    assert statuses(first) == {"one": "failed"}
    assert "ended its transaction by itself" in first.record["error"]["message"]
    again = resume(on_database, id_of(first), {}, CAUSE)
    assert again.record["outcome"] == "refused"
    assert effects(database) == ["half"]


def test_a_role_that_cannot_leave_rows_says_so(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """The step works in one transaction all the same; only its probe is not automatic."""
    with open_session(database) as session:
        session.execute("DROP ROLE IF EXISTS changer")
        session.execute("CREATE ROLE changer; GRANT ALL ON effects TO changer")
    desk = replace(on_database, reach=lambda *_: replace(database, role="changer"))
    evidence = f", evidence=lambda: {dies_once(tmp_path / 'died')}"
    first = run(desk, write_runbook(START, effect("zero"), effect("one", evidence), **NEEDS))
    shown = json.loads((first.folder / "notebook.ipynb").read_bytes())
    assert "ops_runbooks.steps cannot be made" in json.dumps(shown)
    again = resume(desk, id_of(first), {}, CAUSE)
    assert (again.record["outcome"], effects(database)) == ("refused", ["one", "zero"])
    with open_session(database) as session:
        session.execute("DROP OWNED BY changer; DROP ROLE changer")


def test_a_step_that_becomes_another_role_leaves_its_row_as_itself(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """The changing role owns nothing of the platform and becomes the owner for the change; the rows stay its own."""
    with open_session(database) as session:
        session.execute("DROP ROLE IF EXISTS migrator; DROP ROLE IF EXISTS owning")
        session.execute("CREATE ROLE migrator NOINHERIT; CREATE ROLE owning; GRANT owning TO migrator")
        session.execute("CREATE SCHEMA ops_runbooks AUTHORIZATION migrator; ALTER TABLE effects OWNER TO owning")
    desk = replace(on_database, reach=lambda *_: replace(database, role="migrator"))
    action = "lambda t: (t.rows('SET ROLE owning'), t.change(\"INSERT INTO effects VALUES ('one')\"))[1]"
    more = f"step('two', {action.replace('one', 'two')}, evidence=lambda: {dies_once(tmp_path / 'died')})"
    first = run(desk, write_runbook(START, f"step('one', {action})", more, **NEEDS))
    assert statuses(first) == {"one": "done", "two": "unknown"}
    again = resume(desk, id_of(first), {}, CAUSE)
    assert statuses(again) == {"one": "carried", "two": "carried"}
    assert effects(database) == ["one", "two"]
    with open_session(database) as session:
        session.execute("DROP OWNED BY migrator, owning CASCADE; DROP ROLE migrator, owning")


def test_what_is_not_as_it_was_is_refused_with_the_difference(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, server: object
) -> None:
    """A changed cell before anything is recorded; another database as a recorded refusal without cells."""
    first = run(on_database, write_runbook(START, effect("one"), "1 / 0", **NEEDS))
    entries = verify_archive(on_database.archive).entries
    write_runbook(START, effect("one"), "1 / 1", **NEEDS)
    with pytest.raises(Refused, match=r"cell c2 had '1 / 0' and has '1 / 1'"):
        resume(on_database, id_of(first), {}, CAUSE)
    assert verify_archive(on_database.archive).entries == entries
    write_runbook(START, effect("one"), "1 / 0", **NEEDS)
    other = replace(database, keywords={**database.keywords, "dbname": "postgres"})
    again = resume(replace(on_database, reach=lambda *_: other), id_of(first), {}, CAUSE)
    assert again.record["outcome"] == "refused"
    assert f"database was {database.keywords['dbname']} and is postgres" in again.record["error"]["message"]
    assert effects(database) == ["one"]


def test_a_run_is_taken_up_once(on_database: Desk, write_runbook: WriteRunbook) -> None:
    """Whichever of its chain is named, the newest goes on; one that has succeeded has nothing left."""
    first = run(on_database, write_runbook(START, effect("one"), "1 / 0", **NEEDS))
    second = resume(on_database, id_of(first), {}, CAUSE)
    third = resume(on_database, id_of(first)[-6:], {}, CAUSE)
    assert third.record["resumes"] == id_of(second)
    with pytest.raises(BadInput, match="is not in question"):
        resume(on_database, id_of(first), {"one": Settled.REDO}, CAUSE)
    done = run(on_database, write_runbook(START, **NEEDS))
    with pytest.raises(Refused, match="has succeeded"):
        resume(on_database, id_of(done), {}, CAUSE)


def test_of_two_that_take_up_a_run_the_first_goes_on(
    on_database: Desk, database: Login, write_runbook: WriteRunbook, tmp_path: Path
) -> None:
    """A second one that had read the same past finds it taken, and does nothing."""
    request = write_runbook(START, f"{dies_once(tmp_path / 'died')}\n{effect('one')}", **NEEDS)
    first = run(on_database, request)
    past = past_of(on_database.archive, id_of(first))
    second = run(on_database, request, past=past)
    third = run(on_database, request, past=past)
    assert (second.record["outcome"], third.record["outcome"]) == ("succeeded", "refused")
    assert f"was taken up by run {id_of(second)} already" in third.record["error"]["message"]
    assert (third.record["cells"], effects(database)) == ([], ["one"])


def test_a_step_is_tried_again_only_where_it_says_so(desk: Desk, write_runbook: WriteRunbook, tmp_path: Path) -> None:
    """Each try is journalled with its reason; without `retry` the first error ends the step."""
    log = tmp_path / "log"
    action = f"lambda: open({str(log)!r}, 'a').write('x') and len(open({str(log)!r}).read()) > 1 or 1 / 0"
    once = run(desk, write_runbook(START, f"step('one', {action})"))
    assert (once.record["outcome"], log.read_text()) == ("failed", "x")
    log.unlink()
    twice = run(desk, write_runbook(START, f"step('one', {action}, retry=3)"))
    assert (twice.record["outcome"], statuses(twice)) == ("succeeded", {"one": "done"})
    journal = (twice.folder / "journal.jsonl").read_text()
    assert journal.count('"kind":"step-retried"') == 1
    assert "ZeroDivisionError" in journal


@pytest.mark.parametrize("cell", ["step('one', 3)", "step('one', lambda a, b: 1)", "step('one', print, retry=99)"])
def test_a_step_that_cannot_be_understood_does_nothing(desk: Desk, write_runbook: WriteRunbook, cell: str) -> None:
    """No beginning is journalled for what was never going to act."""
    sealed = run(desk, write_runbook(START, cell))
    assert (sealed.record["outcome"], sealed.record["steps"]) == ("failed", [])


def test_a_plan_is_applied_as_a_step(on_database: Desk, database: Login, write_runbook: WriteRunbook) -> None:
    """It shows its statements and the objects they name; where nothing demands an approval, none is asked for."""
    statements = "INSERT INTO effects VALUES ('a'); INSERT INTO effects VALUES (%(b)s)"
    planned = f"p = plan({statements!r}, values={{'b': 'b'}})\np"
    sealed = run(on_database, write_runbook(START, planned, "approved(p)", "step('apply', p.apply)", **NEEDS))
    assert (sealed.record["outcome"], sealed.record["approvals"]) == ("succeeded", [])
    assert effects(database) == ["a", "b"]
    shown = (sealed.folder / "notebook.ipynb").read_text()
    assert "2 statements in one transaction, touching effects." in shown
    assert "demands no approval" in shown


def test_an_answer_that_is_no_json_undoes_the_step(
    on_database: Desk, database: Login, write_runbook: WriteRunbook
) -> None:
    """In a transaction nothing is committed that could not be carried later."""
    action = "lambda t: (t.change(\"INSERT INTO effects VALUES ('one')\"), object())[1]"
    sealed = run(on_database, write_runbook(START, f"step('one', {action})", **NEEDS))
    assert (statuses(sealed), effects(database)) == ({"one": "failed"}, [])
    assert "not JSON" in sealed.record["error"]["message"]


def test_a_secret_in_an_answer_is_not_carried_as_if_it_were_whole(desk: Desk, write_runbook: WriteRunbook) -> None:
    """What was hidden cannot be given back: a cell that needs it is told so."""
    action = "lambda: {'password': secret('hunter-2-' + 'hidden')}"
    first = run(desk, write_runbook(START, f"one = step('one', {action})\none", "1 / 0 if one.answer else 0"))
    again = resume(desk, id_of(first), {}, CAUSE)
    assert "was not kept" in again.record["error"]["message"]
    assert b"hunter-2-hidden" not in b"".join(p.read_bytes() for p in desk.archive.rglob("*") if p.is_file())

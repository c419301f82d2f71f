"""Runs with six changing steps on a real database, killed at random moments and resumed until they are done.

Started as a program: `python -m tests.crash.kills SEED FIRST COUNT` makes a server, an archive and a runbook of its
own, and writes a JSON line for each run: how often it was killed, of what, and everything that was not as it should
be. Each attempt is a process of its own, as a command would be; what kills it chooses a moment in time, or one shortly
after a line of the journal. Where a step asks a person, the person looks.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.archive.chains import journal_of, newest_of
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.records import Records
from ops_lib.archive.staging import JOURNAL
from ops_lib.archive.verification import verify_archive
from ops_lib.model.errors import OpsError
from ops_lib.model.run import Cause, Request
from ops_lib.model.step import Settled
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.notebooks.execution import load_papermill
from ops_lib.notebooks.keeper import descendants
from ops_lib.notebooks.report import render_report
from ops_lib.operations.desk import Desk
from ops_lib.operations.recover import recover
from ops_lib.operations.resume import resume
from ops_lib.operations.run import run
from ops_lib.postgres.server import EmbeddedServer

KINDS = ("kernel", "supervisor", "database", "everything")
CAUSE = Cause(kind="person", who="ana", how_known="test")
MOST_KILLS = 4
MOST_ATTEMPTS = 20
STEPS = ("row", "counter", "probed", "file", "plan", "evidence")
PLANNED = "INSERT INTO effects VALUES (%(number)s, 'plan'); SELECT pg_sleep(0.01)"
EFFECT = "\"INSERT INTO effects VALUES (%(n)s, '{}')\", {{'n': number}}"
SLEEP = 't.rows("SELECT pg_sleep(0.01)")'
COUNTED = "t.change(\"INSERT INTO effects VALUES (%(n)s, 'counter')\", {'n': number})"
LOOKED = "\"SELECT 1 FROM effects WHERE number = %(n)s AND step = 'probed'\", {'n': number}"
CELLS = (
    "from ops_lib.runbook import *",
    f"step('row', lambda t: (t.change({EFFECT.format('row')}), {SLEEP})[0])",
    f"step('counter', lambda t: ({COUNTED}, t.change('UPDATE counter SET n = n + 1'))[1])",
    f"step('probed', lambda: target().rows({EFFECT.format('probed')}), probe=lambda: bool(target().rows({LOOKED})))",
    "import time\nstep('file', lambda: (time.sleep(0.01), log_of(number), time.sleep(0.01))[0])",
    f"p = plan({PLANNED!r}, values={{'number': number}})\napproved(p)\nstep('plan', p.apply)",
    f"step('evidence', lambda t: t.change({EFFECT.format('evidence')}), evidence=lambda: {{'seen': number}})",
)


@dataclass
class Told:
    """What became of one run."""

    number: int
    kills: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    asked: int = 0
    wrong: list[str] = field(default_factory=list)


class World:
    """A server, an archive and a runbook."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.server = EmbeddedServer(root / "state")
        self.log = root / "log"
        self.log.touch()
        self.chance = random.Random(seed)
        self.seconds = 3.0
        self.desk = Desk(
            archive=root / "outputs", runbooks=(root / "runbooks",), default_target="demo",
            targets={"demo": Target(name="demo", embedded=True)}, who="ana", how_known="test",
            clock=lambda: datetime.now(UTC), randomness=os.urandom, reach=self.reach, experiments=lambda: None,
            scratch=lambda run_id: Path("/tmp") / f"runbook-{run_id[-12:].lower()}", environment=dict(os.environ),
            configuration=root / "configuration", cwd=root,
        )  # fmt: skip

    def prepare(self) -> None:
        (self.root / "state").mkdir(mode=0o711)
        self.server.start()
        with self.session() as session:
            session.execute("CREATE TABLE effects (number int, step text)")
            session.execute("CREATE TABLE counter AS SELECT 0 AS n")
        write_runbook(self.root / "runbooks", self.log)

    def reach(self, target: Target, hazard: Hazard) -> Login:
        self.server.start()
        return self.server.login(dbname="postgres")

    def session(self) -> "psycopg.Connection[Any]":
        self.server.start()
        login = self.server.login(dbname="postgres")
        return psycopg.connect(**login.keywords, password=login.password, autocommit=True)

    # One attempt, in a process of its own.

    def attempt(self, number: int, begun: str | None, settled: dict[str, Settled]) -> int:
        """The process id of a supervisor that begins the run or takes it up."""
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                self._supervise(number, begun, settled)
            except OpsError as error:
                (self.root / "last-error").write_text(str(error))
            finally:
                os._exit(0)
        return pid

    def _supervise(self, number: int, begun: str | None, settled: dict[str, Settled]) -> None:
        recover(self.desk)
        if begun is None:
            run(self.desk, Request(runbook="TST-006", cause=CAUSE, parameters={"number": number}))
        else:
            resume(self.desk, begun, settled, CAUSE)

    def kill(self, supervisor: int, kind: str) -> None:
        """Kill one process of a run, or everything at once."""
        below = descendants(supervisor)
        kernels = [pid for pid in below if b"ipykernel_launcher" in command(pid) and b"keeper" not in command(pid)]
        postmaster = [int(line) for line in first_lines(self.server.data / "postmaster.pid")]
        victims = {
            "kernel": kernels[:1], "supervisor": [supervisor], "database": postmaster,
            "everything": [supervisor, *below, *postmaster],
        }  # fmt: skip
        for pid in victims[kind]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_for_moment(self, supervisor: int, before: set[str]) -> bool:
        """Until a random moment; whether the attempt still goes on."""
        if self.chance.random() < 0.3:
            return waited(supervisor, self.chance.uniform(0, self.seconds))
        lines, began = self.chance.randint(1, 45), time.monotonic()
        while not over(supervisor):
            new = [path for path in (self.desk.archive / "staging").glob("[0-9A-Z]*") if path.name not in before]
            if new and count_lines(new[0] / JOURNAL) >= lines:
                return waited(supervisor, self.chance.uniform(0, 0.03))
            if time.monotonic() - began > 120:
                return True
            time.sleep(0.002)
        return False


def write_runbook(folder: Path, log: Path) -> None:
    front = (
        "---\nid: TST-006\ntitle: Six steps\nhazard: changes\nowner: ana\ntimeout: 10m\nneeds: [target:postgres]\n---"
    )
    words = f"def log_of(number):\n    with open({str(log)!r}, 'a') as log:\n        log.write(f'{{number}}\\n')"
    cells: list[dict[str, Any]] = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": front}]
    tagged = {"tags": ["parameters"]}
    cells.append(code("given", "number: int = 0  # which run (0 to 1000000)", tagged))
    cells += [code(f"c{place}", source, {}) for place, source in enumerate((words, *CELLS))]
    folder.mkdir()
    (folder / "six.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))


def code(name: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": name, "metadata": metadata, "source": source, "outputs": [], "execution_count": None,
    }  # fmt: skip


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def first_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[:1]
    except OSError:
        return []


def count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


def over(pid: int) -> bool:
    """Whether a child has ended; it is not collected yet."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def waited(pid: int, seconds: float) -> bool:
    """Let some seconds pass; whether the child still goes on."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if over(pid):
            return False
        time.sleep(0.001)
    return not over(pid)


def play(world: World, number: int) -> Told:
    """One run from its beginning to its end, whatever is killed in between."""
    told, begun, settled = Told(number), None, {}
    while told.attempts < MOST_ATTEMPTS:
        told.attempts += 1
        before = {path.name for path in (world.desk.archive / "staging").glob("[0-9A-Z]*")}
        began, killed = time.monotonic(), False
        supervisor = world.attempt(number, begun, settled)
        if told.kills.total() < MOST_KILLS and (told.attempts == 1 or world.chance.random() < 0.5):
            kind = world.chance.choice(KINDS)
            killed = world.wait_for_moment(supervisor, before)
            if killed:
                world.kill(supervisor, kind)
                told.kills[kind] += 1
        os.waitpid(supervisor, 0)
        if not killed:
            world.seconds = 0.7 * world.seconds + 0.3 * (time.monotonic() - began)
        settle(world)
        begun = begun or first_of(world, number)
        ended = newest(world, begun) if begun else None
        if ended is None:
            continue
        told.wrong += untrue(world, number, ended)
        if ended["outcome"] == "succeeded":
            break
        settled = person(world, number, ended)
        told.asked += bool(settled)
    else:
        said = (world.root / "last-error").read_text() if ended is None else ended["error"]
        told.wrong.append(f"number {number} is not done after {told.attempts} attempts: {said}")
    return told


def settle(world: World) -> None:
    """Seal what was killed, as the next command does; it is killed no more."""
    found = recover(world.desk)
    assert not found.failed, found.failed


def first_of(world: World, number: int) -> str | None:
    """The first run with this number that began: one that was killed before a head covered its intent did not."""
    wanted = f'"parameters":{{"number":{number}}}'.encode()
    for line in Ledger(world.desk.archive, world.desk.keys).signed_lines():
        if wanted in line and b'"kind":"intent"' in line:
            return str(json.loads(line)["run_id"])
    return None


def newest(world: World, begun: str) -> dict[str, Any] | None:
    """The newest record of a chain."""
    records = Records(world.desk.archive)
    folder = records.folder_of(newest_of(Ledger(world.desk.archive, world.desk.keys), begun))
    return records.read(folder) if folder.is_dir() else None


def effects(world: World, number: int) -> Counter[str]:
    """How often each step of a run has had its effect."""
    with world.session() as session:
        rows = session.execute("SELECT step, count(*) FROM effects WHERE number = %s GROUP BY 1", (number,)).fetchall()
    found: Counter[str] = Counter(dict(rows))
    if lines := world.log.read_text().splitlines().count(str(number)):
        found["file"] = lines
    return found


def person(world: World, number: int, ended: dict[str, Any]) -> dict[str, Settled]:
    """What somebody who is asked about a step sees and says."""
    if "cannot be told" not in ((ended["error"] or {}).get("message") or ""):
        return {}
    assert "--step file=done" in ended["error"]["hint"], ended["error"]
    return {"file": Settled.DONE if effects(world, number)["file"] else Settled.REDO}


def untrue(world: World, number: int, record: dict[str, Any]) -> Iterator[str]:
    """What a record says that is not so."""
    there = effects(world, number)
    for step, count in there.items():
        if count != 1:
            yield f"{record['run_id']}: {step} had its effect {count} times"
    for step in record["steps"]:
        if step["status"] in ("done", "carried") and there[step["name"]] != 1:
            yield f"{record['run_id']}: {step['name']} is {step['status']} and its effect is not there"
    known = set(known_steps(world, record["run_id"]))
    for name in set(there) - known:
        yield f"{record['run_id']}: {name} had its effect and is in no journal"
    if record["outcome"] == "succeeded" and set(there) != {*STEPS}:
        yield f"{record['run_id']}: succeeded without {', '.join({*STEPS} - set(there))}"
    yield from guesses(world, record)


def known_steps(world: World, run_id: str | None) -> Iterator[str]:
    """The steps that a run and those before it have begun."""
    while run_id:
        events = journal_of(world.desk.archive, run_id)
        yield from (event["name"] for event in events if event["kind"] in ("step-began", "step-carried"))
        run_id = events[0].get("resumes")


def guesses(world: World, record: dict[str, Any]) -> Iterator[str]:
    """Steps that were in question, and went on without that anybody looked."""
    if record["resumes"] is None:
        return
    asked = in_question(world, record["resumes"])
    events = journal_of(world.desk.archive, record["run_id"])
    probes = {event["name"]: event["found"] for event in events if event["kind"] == "step-probed"}
    for event in events:
        if event["kind"] in ("step-began", "step-carried") and event["name"] in asked:
            said = events[0].get("settled", {}).get(event["name"])
            if probes.get(event["name"], "unknown") == "unknown" and said is None:
                yield f"{record['run_id']}: {event['name']} went on by a guess"


def in_question(world: World, run_id: str) -> set[str]:
    """The steps that had begun, and had not ended well, when a run was taken up; read from the journals alone."""
    chain = []
    before: str | None = run_id
    while before:
        events = journal_of(world.desk.archive, before)
        chain.insert(0, events)
        before = events[0].get("resumes")
    well: dict[str, bool] = {}
    for events in chain:
        for event in events:
            if event["kind"] in ("step-began", "step-ended", "step-carried"):
                well[event["name"]] = event["kind"] == "step-carried" or event.get("status") == "done"
    return {name for name, ended in well.items() if not ended}


def main(seed: int, first: int, count: int) -> None:
    """Play some runs, and look over the whole archive at the end."""
    load_papermill()
    assert render_report
    root = Path(tempfile.mkdtemp(prefix="ops-steps-"))
    root.chmod(0o711)
    world = World(root, seed)
    world.prepare()
    try:
        for number in range(first, first + count):
            told = play(world, number)
            say(number=number, kills=dict(told.kills), attempts=told.attempts, asked=told.asked, wrong=told.wrong)
        say(wrong=[str(fault) for fault in verify_archive(world.desk.archive).faults] + wrong_counter(world, count))
    finally:
        world.server.stop("immediate")
        world.server.remove()
        if not os.environ.get("RUNBOOK_KEEP"):
            shutil.rmtree(root, ignore_errors=True)


def wrong_counter(world: World, count: int) -> list[str]:
    """An effect that leaves no row of its own is counted in another way."""
    with world.session() as session:
        row = session.execute("SELECT n FROM counter").fetchone()
    assert row is not None
    return [] if row[0] == count else [f"the counter stands at {row[0]} after {count} runs"]


def say(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

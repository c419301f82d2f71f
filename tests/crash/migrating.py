"""SOP-001 with twelve migrations on a real database, killed and resumed until the database has had all of them.

Started as a program: `python -m tests.crash.migrating SEED PLACES COUNT` kills once at each place of PLACES (`all`, or
a number of them chosen by chance): kernel, supervisor, database or everything, right after a line of the journal about
a step; then COUNT runs at random moments, up to four times each. A JSON line for each run says how it went.

Every migration leaves a row in `log`, which has no key, and some count up: whatever was applied twice shows.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import psycopg

from ops_lib.archive.ledger import Ledger
from ops_lib.archive.staging import JOURNAL
from ops_lib.archive.verification import verify_archive
from ops_lib.model.run import Request
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.notebooks.execution import load_papermill
from ops_lib.operations.recover import recover
from ops_lib.operations.resume import resume
from ops_lib.operations.run import run
from tests.crash.kills import (
    CAUSE,
    KINDS,
    MOST_ATTEMPTS,
    MOST_KILLS,
    Told,
    World,
    count_lines,
    newest,
    over,
    say,
    settle,
    waited,
)

REPOSITORY = Path(__file__).parents[2]
STEPS = ("plan", "rehearse", "apply", "analyze")
PLACES = [*product(STEPS, ("step-began", "step-ended"), KINDS)]
LOG = "INSERT INTO log VALUES ({number});"
FILES = {
    "create_items": "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, n int DEFAULT 0);"
    " INSERT INTO items (a) SELECT i % 7 FROM generate_series(1, 3000) i;",
    "add_kind": "ALTER TABLE items ADD COLUMN kind text;",
    "make_type": "CREATE TYPE grade AS ENUM ('low', 'high');",
    "index_a": "CREATE INDEX CONCURRENTLY items_a ON items (a);",
    "count_up": "UPDATE counter SET n = n + 1;",
    "backfill": "-- Batches: yes\nUPDATE items SET n = n + 1;",
    "function": "CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS $$ SELECT 2 * x; $$;",
    "mixed": "CREATE INDEX CONCURRENTLY items_n ON items (n); UPDATE counter SET n = n + 1;"
    " ALTER TABLE items ADD COLUMN more int;",
    "fails_at_first": "ALTER TABLE gate ADD CONSTRAINT gate_open CHECK (open);",
    "check_a": "ALTER TABLE items ADD CONSTRAINT a_small CHECK (a < 100) NOT VALID;",
    "drop_index": "DROP INDEX CONCURRENTLY items_a; CREATE INDEX CONCURRENTLY items_a2 ON items (a, n);",
    "view": "CREATE VIEW busy AS SELECT a, sum(n) AS n FROM items GROUP BY a;",
}
SHAPE = """
    SELECT (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped),
           (SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE '!' END, ',' ORDER BY relname)
            FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'items'::regclass),
           to_regprocedure('twice(int)') IS NOT NULL, to_regclass('busy') IS NOT NULL, to_regtype('grade') IS NOT NULL,
           (SELECT array_agg(DISTINCT n) FROM items), (SELECT count(*) FROM items), (SELECT n FROM counter)
"""
DONE = ("id,a,n,kind,more", "items_a2,items_n,items_pkey", True, True, True, [1], 3000, 2)


class Migrations(World):
    """A server on which each run has a database of its own."""

    def prepare(self) -> None:
        (self.root / "state").mkdir(mode=0o711)
        self.desk = self._furnished()
        self.server.start()
        self.longest = 60

    def _furnished(self) -> Any:
        environment = {**self.desk.environment, "XDG_STATE_HOME": str(self.root / "xdg")}
        return replace(self.desk, runbooks=(REPOSITORY / "runbooks",), environment=environment)

    def reach(self, target: Target, hazard: Hazard) -> Login:
        self.server.start()
        return self.server.login(dbname=target.name)

    def database(self, number: int) -> "psycopg.Connection[Any]":
        self.server.start()
        login = self.server.login(dbname=f"m{number}")
        return psycopg.connect(**login.keywords, password=login.password, autocommit=True)

    def begin(self, number: int) -> None:
        """A database with its twelve files."""
        with self.session() as session:
            session.execute(f"CREATE DATABASE m{number}")
        with self.database(number) as session:
            session.execute("CREATE TABLE log (number int); CREATE TABLE counter AS SELECT 0 AS n")
            session.execute("CREATE TABLE gate AS SELECT false AS open")
        folder = self.root / f"files{number}"
        folder.mkdir()
        for place, (name, text) in enumerate(FILES.items(), start=1):
            parts = f"{text}\n" if text.startswith("-- Batches") else f"{text}\n{LOG.format(number=place)}\n"
            (folder / f"2026010100{place:02}_{name}.sql").write_text(parts)
        self.desk.targets[f"m{number}"] = Target(name=f"m{number}", embedded=True)  # type: ignore[index]

    def _supervise(self, number: int, begun: str | None, settled: Any) -> None:
        recover(self.desk)
        if begun is None:
            parameters = {"migrations": str(self.root / f"files{number}"), "patience": "20s"}
            request = Request(runbook="SOP-001", cause=CAUSE, target=f"m{number}", parameters=parameters)
            run(self.desk, request)
        else:
            resume(self.desk, begun, {}, CAUSE)

    def wait_for_moment(self, supervisor: int, before: set[str]) -> bool:
        lines, began = self.chance.randint(1, self.longest), time.monotonic()
        while not over(supervisor):
            if (journal := self._journal(before)) and count_lines(journal) >= lines:
                return waited(supervisor, self.chance.uniform(0, 0.2))
            if time.monotonic() - began > 180:
                return True
            time.sleep(0.002)
        return False

    def wait_for_place(self, supervisor: int, before: set[str], step: str, kind: str) -> bool:
        """Until the journal says that a step has begun or ended."""
        wanted = f'"kind":"{kind}"'.encode(), f'"name":"{step}"'.encode()
        while not over(supervisor):
            lines = (self._journal(before) or Path("/dev/null")).read_bytes().replace(b": ", b":").splitlines()
            if any(all(part in line for part in wanted) for line in lines):
                return True
            time.sleep(0.001)
        return False

    def _journal(self, before: set[str]) -> Path | None:
        new = [path for path in (self.desk.archive / "staging").glob("[0-9A-Z]*") if path.name not in before]
        return new[0] / JOURNAL if new and (new[0] / JOURNAL).exists() else None


def play(world: Migrations, number: int, place: tuple[str, str, str] | None) -> Told:
    """One run from its beginning to its end, killed at one place, or at some random moments."""
    told, begun, ended = Told(number), None, None
    world.begin(number)
    while told.attempts < MOST_ATTEMPTS:
        told.attempts += 1
        before = {path.name for path in (world.desk.archive / "staging").glob("[0-9A-Z]*")}
        supervisor = world.attempt(number, begun, {})
        if place is None and told.kills.total() < MOST_KILLS and (told.attempts == 1 or world.chance.random() < 0.6):
            kind, reached = world.chance.choice(KINDS), world.wait_for_moment(supervisor, before)
        elif place and not told.kills:
            kind, reached = place[2], world.wait_for_place(supervisor, before, *place[:2])
        else:
            kind, reached = "", False
        if reached:
            world.kill(supervisor, kind)
            told.kills[kind] += 1
        os.waitpid(supervisor, 0)
        settle(world)
        begun = begun or _first_of(world, number)
        ended = newest(world, begun) if begun else None
        told.wrong += untrue(world, number)
        if ended and ended["outcome"] == "succeeded":
            break
        if ended and "fails_at_first" in str((ended["error"] or {}).get("message")):
            open_the_gate(world, number)
    else:
        told.wrong.append(f"database {number} is not done after {told.attempts} attempts: {ended and ended['error']}")
        return told
    told.wrong += not_done(world, number)
    return told


def _first_of(world: Migrations, number: int) -> str | None:

    wanted = f'/files{number}"'.encode()
    for line in Ledger(world.desk.archive, world.desk.keys).signed_lines():
        if wanted in line and b'"kind":"intent"' in line:
            return str(json.loads(line)["run_id"])
    return None


def open_the_gate(world: Migrations, number: int) -> None:
    """What the person does who reads why the ninth file failed."""
    with world.database(number) as session:
        session.execute("UPDATE gate SET open = true")


def untrue(world: Migrations, number: int) -> Iterator[str]:
    """What of the database does not fit to its history, at any time."""
    with world.database(number) as session:
        there = session.execute("SELECT to_regclass('ops.schema_migrations') IS NOT NULL").fetchone() == (True,)
        versions = session.execute("SELECT version FROM ops.schema_migrations").fetchall() if there else []
        had = sorted(int(version[-2:]) for (version,) in versions)
        logged = sorted(row[0] for row in session.execute("SELECT number FROM log").fetchall())
    batched = {place for place, text in enumerate(FILES.values(), start=1) if text.startswith("-- Batches")}
    lost = set(had) - set(logged) - batched
    early = set(logged) - set(had) - {8}  # a file in parts leaves its effects before it is in the history
    twice = {place for place in logged if logged.count(place) > 1}
    for what, places in {"applied twice": twice, "lost": lost, "not in the history": early}.items():
        if places - ({4, 11} if what == "not in the history" else set()):
            yield f"database {number}: {what}: {sorted(places)}"


def not_done(world: Migrations, number: int) -> Iterator[str]:
    """What is not as it is where nothing was killed."""
    with world.database(number) as session:
        found = session.execute(SHAPE).fetchone()
        left = session.execute("SELECT count(*) FROM ops_runbooks.migration_parts").fetchone()
    if found != DONE:
        yield f"database {number} is {found}"
    if left != (0,):
        yield f"database {number}: {left} parts are left"


def main(seed: int, places: str, count: int) -> None:
    """The chosen places, then the random runs, and a look over the whole archive at the end."""
    load_papermill()
    root = Path(tempfile.mkdtemp(prefix="ops-migrations-"))
    root.chmod(0o711)
    world = Migrations(root, seed)
    world.prepare()
    chosen: list[Any] = PLACES if places == "all" else random.Random(seed).sample(PLACES, int(places))
    try:
        for number, place in enumerate([*chosen, *[None] * count]):
            told = play(world, number, place)
            say(number=number, place=place, kills=dict(told.kills), attempts=told.attempts, wrong=told.wrong)
        say(wrong=[str(fault) for fault in verify_archive(world.desk.archive).faults])
    finally:
        world.server.stop("immediate")
        world.server.remove()
        if not os.environ.get("RUNBOOK_KEEP"):
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

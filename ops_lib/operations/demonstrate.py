"""The demonstration: a platform that works, then a bad evening, then the same work many times slower.

    install -> work_normally -> (a first snapshot, taken by the caller) -> break_it -> work_again

Causes are real: an index is dropped and a load leaves stale statistics behind, in a real database under real queries.
Each stage is left out where the database says that it has been reached, and each may be killed at any moment: the
platform is loaded under another name and renamed when it is complete, and what breaks it is one transaction.
What the platform is, is known to the files of the folder `db` alone.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any

from ops_lib.model.errors import Refused
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres import roles, routine, sql_file
from ops_lib.postgres.connection import connect
from ops_lib.postgres.migrations.apply import apply_pending
from ops_lib.postgres.routine import Timing
from ops_lib.postgres.server import EmbeddedServer

Progress = Callable[[str], None]

OWNER, MIGRATOR, PIPELINE = "platform_owner", "ops_migrate", "feature_pipeline"
_LOGINS = ("ops_investigate", MIGRATOR, PIPELINE)
_APPLICATION = "runbook/demo"
_ROUNDS_BEFORE, _ROUNDS_AFTER = 40, 3


class Stage(StrEnum):
    """How far the story has come; of a server that is stopped that cannot be told."""

    ABSENT = "absent"
    STOPPED = "stopped"
    INSTALLED = "installed"
    WORKED = "worked"
    BROKEN = "broken"
    COMPLETE = "complete"

    def reached(self, other: "Stage") -> bool:
        """Whether this stage is at or after another."""
        return list(Stage).index(self) >= list(Stage).index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """Where the story is played: a server, the folder `db`, and how much of the seeds is made (0.1: a tenth)."""

    server: EmbeddedServer
    sql: Path
    database: str = "platform"
    scale: float = 1.0

    def login(self, role: str = "postgres", database: str | None = None) -> Login:
        return self.server.login(role, database or self.database)


def status(demonstration: Demonstration) -> Stage:
    """How far the story has come, without starting anything."""
    if not demonstration.server.running():
        return Stage.STOPPED if demonstration.server.made() else Stage.ABSENT
    with _session(demonstration.login(database="postgres")) as session:
        known = session.execute("SELECT FROM pg_database WHERE datname = %s", [demonstration.database]).fetchone()
    if known is None:
        return Stage.ABSENT
    with _session(demonstration.login()) as session:
        if session.execute("SELECT to_regclass('ops.demonstration')").fetchone() == (None,):
            return Stage.ABSENT
        stages = [Stage(name) for (name,) in session.execute("SELECT stage FROM ops.demonstration")]
    return max(stages, key=list(Stage).index)


def install(demonstration: Demonstration, progress: Progress) -> None:
    """Server, roles, migrations, seeds, statistics; nothing where the platform is complete already."""
    demonstration.server.start(progress)
    with _alone(demonstration, progress):
        if status(demonstration) is Stage.ABSENT:
            _load(demonstration, progress)


def work_normally(demonstration: Demonstration, progress: Progress) -> dict[str, Timing]:
    """The platform's own queries while all is well; empty where that has been."""
    return _work(demonstration, progress, after=Stage.INSTALLED, reaches=Stage.WORKED, rounds=_ROUNDS_BEFORE)


def break_it(demonstration: Demonstration, progress: Progress) -> None:
    """The bad evening; nothing where that has been."""
    with _alone(demonstration, progress):
        if _require(demonstration, Stage.WORKED).reached(Stage.BROKEN):
            return
        progress("a schema change and a late load, each left half done")
        with _session(demonstration.login()) as session:
            sql_file.run(session, demonstration.sql / "demonstration/break.sql")


def work_again(demonstration: Demonstration, progress: Progress) -> dict[str, Timing]:
    """The same queries as before; empty where that has been."""
    return _work(demonstration, progress, after=Stage.BROKEN, reaches=Stage.COMPLETE, rounds=_ROUNDS_AFTER)


def reset(demonstration: Demonstration, progress: Progress) -> None:
    """Drops the platform, so that the next `install` makes it afresh."""
    demonstration.server.start(progress)
    with _alone(demonstration, progress) as admin:
        progress(f"dropping the database {demonstration.database}")
        _drop(admin, demonstration.database)


def _work(
    demonstration: Demonstration, progress: Progress, *, after: Stage, reaches: Stage, rounds: int
) -> dict[str, Timing]:
    with _alone(demonstration, progress):
        if _require(demonstration, after).reached(reaches):
            return {}
        progress("the pipeline and the dashboards are at work")
        with _session(demonstration.login(PIPELINE), name=PIPELINE) as session:
            queries = routine.read(session, demonstration.sql / "demonstration/work")
            timings = routine.play(session, queries, rounds=rounds)
        with _session(demonstration.login()) as session:
            session.execute("INSERT INTO ops.demonstration (stage) VALUES (%s)", [reaches.value])
    return timings


def _load(demonstration: Demonstration, progress: Progress) -> None:
    draft = replace(demonstration, database=f"{demonstration.database}_in_progress")
    with _session(draft.login(database="postgres")) as admin:
        _drop(admin, draft.database)
        admin.execute(f'CREATE DATABASE "{draft.database}"')
        _install_roles(draft, progress)
        _migrate(draft, progress)
        _seed(draft, progress)
        _settle(draft, progress)
        _drop(admin, demonstration.database)
        admin.execute(f'ALTER DATABASE "{draft.database}" RENAME TO "{demonstration.database}"')


def _install_roles(draft: Demonstration, progress: Progress) -> None:
    progress("making roles")
    with _session(draft.login()) as session:
        sql_file.run(session, draft.sql / "roles.sql")
        session.execute(f'ALTER DATABASE "{draft.database}" OWNER TO {OWNER}')
        roles.set_password(session, MIGRATOR, draft.server.ensure_password(MIGRATOR))


def _migrate(draft: Demonstration, progress: Progress) -> None:
    with _session(replace(draft.login(MIGRATOR), role=OWNER)) as session:
        apply_pending(session, draft.sql, progress)


def _seed(draft: Demonstration, progress: Progress) -> None:
    """Runs the seeds in the order of their numbers; files of one number at the same time."""
    files = sorted((draft.sql / "seeds").glob("*.sql"))
    for _, together in groupby(files, key=lambda file: file.name.split("_")[0]):
        _run_together(draft, list(together), progress)


def _run_together(draft: Demonstration, files: Sequence[Path], progress: Progress) -> None:
    sessions = [
        connect(draft.login(), application_name=_APPLICATION, hazard=Hazard.CHANGES, statement_timeout_ms=0)
        for _ in files
    ]
    with ThreadPoolExecutor(len(files)) as pool:
        try:
            work = {
                pool.submit(_run_seed, session, draft, file): file
                for session, file in zip(sessions, files, strict=True)
            }
            progress("loading " + ", ".join(file.stem for file in files))
            for done in as_completed(work):
                done.result()
        except BaseException:
            for session in sessions:
                session.cancel_safe()
            raise
        finally:
            pool.shutdown()
            for session in sessions:
                session.close()


def _run_seed(session: Any, draft: Demonstration, file: Path) -> None:
    session.execute("SELECT set_config('platform.scale', %s, false)", [str(draft.scale)])
    sql_file.run(session, file)


def _settle(draft: Demonstration, progress: Progress) -> None:
    """Leaves the platform as a quiet night would: vacuumed, analyzed, with no trace of the load in its statistics."""
    progress("vacuuming and analyzing")
    with _session(draft.login()) as session:
        sql_file.run(session, draft.sql / "demonstration/install.sql")
        for role in _LOGINS:
            roles.set_password(session, role, draft.server.ensure_password(role))
        session.execute("SELECT pg_stat_reset()")
        session.execute("VACUUM (FREEZE, ANALYZE)")
        session.execute("CHECKPOINT")
        session.execute("SELECT pg_stat_statements_reset()")


def _require(demonstration: Demonstration, stage: Stage) -> Stage:
    now = status(demonstration)
    if not now.reached(stage):
        raise Refused(f"the demonstration is {now}, not yet {stage}", hint="runbook demo plays it from the start")
    return now


def _drop(admin: Any, database: str) -> None:
    admin.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@contextmanager
def _session(login: Login, name: str = _APPLICATION) -> Iterator[Any]:
    session = connect(login, application_name=name, hazard=Hazard.CHANGES, statement_timeout_ms=0, lock_timeout_ms=5000)
    with session:
        yield session


@contextmanager
def _alone(demonstration: Demonstration, progress: Progress) -> Iterator[Any]:
    """One command at a time plays the story; another waits. The lock ends with its session."""
    with _session(demonstration.login(database="postgres")) as admin:
        key = f"demonstration {demonstration.database}"
        if admin.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [key]).fetchone() == (False,):
            progress("waiting for another command that prepares the demonstration")
            admin.execute("SET lock_timeout = 0")
            admin.execute("SELECT pg_advisory_lock(hashtext(%s))", [key])
        yield admin

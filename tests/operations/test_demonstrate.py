"""The demonstration: a real database that was fast and is slow, and is fast again once its causes are removed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops_lib.model.errors import Refused
from ops_lib.operations import demonstrate
from ops_lib.operations.demonstrate import Demonstration, Stage
from ops_lib.postgres import routine
from ops_lib.postgres.server import EmbeddedServer

ROOT = Path(__file__).parents[2]
REMEDY = """
    CREATE INDEX idx_odds_history_game_id_captured_at ON raw.odds_history (game_id, captured_at);
    ALTER TABLE staging.player_game_stats RESET (autovacuum_enabled);
    ANALYZE staging.player_game_stats;
"""


def quiet(message: str) -> None:
    """Progress that nobody watches."""


def open_session(story: Demonstration, role: str = "postgres") -> "psycopg.Connection[Any]":
    login = story.login(role)
    return psycopg.connect(**login.keywords, password=login.password, autocommit=True)


@pytest.fixture(scope="module")
def story(server: EmbeddedServer) -> Iterator[Demonstration]:
    """The small platform under a name of its own, not yet installed."""
    own = Demonstration(server=server, sql=ROOT / "db", database="story", scale=0.1)
    yield own
    demonstrate.reset(own, quiet)


def test_it_is_fast_then_slow_then_fast_again(story: Demonstration) -> None:
    """Each stage happens once; two queries become at least ten times slower, each by its own cause."""
    assert demonstrate.status(story) is Stage.ABSENT
    demonstrate.install(story, quiet)
    before = demonstrate.work_normally(story, quiet)
    demonstrate.break_it(story, quiet)
    after = demonstrate.work_again(story, quiet)
    assert demonstrate.status(story) is Stage.COMPLETE
    for name in ("feature_extraction", "player_form"):
        assert after[name].mean > 10 * before[name].mean, name
    assert after["standings"].mean < 0.1
    with open_session(story, "feature_pipeline") as session:
        queries = routine.read(session, story.sql / "demonstration/work")
        with open_session(story) as admin:
            admin.execute(REMEDY)
        healed = routine.play(session, queries, rounds=3)
    for name in ("feature_extraction", "player_form"):
        assert healed[name].mean < after[name].mean / 10, name


def test_a_second_time_nothing_is_done(story: Demonstration) -> None:
    """Every stage sees that it has been; nothing is dropped, loaded or measured again."""
    said: list[str] = []
    demonstrate.install(story, said.append)
    demonstrate.break_it(story, said.append)
    assert demonstrate.work_normally(story, said.append) == {}
    assert demonstrate.work_again(story, said.append) == {}
    assert said == []


def test_the_order_of_the_story_is_kept(story: Demonstration) -> None:
    """What has not been installed cannot be broken."""
    with pytest.raises(Refused, match="is absent, not yet worked"):
        demonstrate.break_it(replace(story, database="never"), quiet)


def test_an_installation_that_was_killed_is_begun_again(server: EmbeddedServer, story: Demonstration) -> None:
    """SIGKILL while the large tables are loaded: nothing passes for a platform, and the next install makes one."""
    script = f"""
        import os
        from pathlib import Path
        from ops_lib.operations import demonstrate
        from ops_lib.postgres.server import EmbeddedServer
        server = EmbeddedServer(Path({str(server.home)!r}))
        own = demonstrate.Demonstration(server=server, sql=Path("db"), database="killed", scale=0.1)
        demonstrate.install(own, lambda message: os.kill(os.getpid(), 9) if "40_" in message else None)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    killed = replace(story, database="killed")
    assert demonstrate.status(killed) is Stage.ABSENT
    demonstrate.install(killed, quiet)
    assert demonstrate.status(killed) is Stage.INSTALLED
    demonstrate.reset(killed, quiet)
    assert demonstrate.status(killed) is Stage.ABSENT


def test_an_interrupted_load_ends_at_once(story: Demonstration) -> None:
    """Ctrl-C cancels what the sessions are doing; no session of the installation is left."""
    interrupted = replace(story, database="interrupted", scale=1.0)

    def interrupt(message: str) -> None:
        if "40_" in message:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        demonstrate.install(interrupted, interrupt)
    with open_session(replace(story, database="postgres")) as admin:
        until = time.monotonic() + 5  # a server process takes a moment to end, and a load takes half a minute
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'interrupted%'"
        while (left := admin.execute(sessions).fetchone()) != (0,) and time.monotonic() < until:
            time.sleep(0.02)
        admin.execute("DROP DATABASE interrupted_in_progress WITH (FORCE)")
    assert left == (0,)

"""The sample platform: its schema keeps its promises, and its synthetic figures are plausible and always the same."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops_lib.model.target import Login
from ops_lib.operations import demonstrate
from ops_lib.operations.demonstrate import Demonstration
from ops_lib.postgres.backups.proving import assertions
from ops_lib.postgres.server import EmbeddedServer

DB = Path(__file__).parents[2] / "db"

DIGEST = """
    SELECT sum(hashtextextended(g::text, 0)::numeric) FROM {} AS g
"""


@pytest.fixture(scope="module")
def session(platform_database: Login) -> Iterator["psycopg.Connection[Any]"]:
    """A superuser's session on the loaded platform."""
    with open_session(platform_database) as opened:
        yield opened


def open_session(login: Login) -> "psycopg.Connection[Any]":
    return psycopg.connect(**login.keywords, password=login.password, autocommit=True)


def rows(session: "psycopg.Connection[Any]", query: str) -> list[tuple[Any, ...]]:
    return session.execute(query.encode()).fetchall()


def test_the_assertions_hold(session: "psycopg.Connection[Any]") -> None:
    """What a restore drill asks of the platform is true of it."""
    files = sorted((DB / "assertions/platform").glob("*.sql"))
    assert files
    assert assertions(session, files).whole


def test_every_migration_has_the_header_of_the_handbook() -> None:
    """Migration, Author and Date, and the date is that of its number."""
    for file in (DB / "migrations").glob("*.sql"):
        first, second, third = file.read_text(encoding="utf-8").splitlines()[:3]
        assert first.startswith("-- Migration: ")
        assert second.startswith("-- Author: ")
        assert third.removeprefix("-- Date: ").replace("-", "") == file.name[:8]


def test_psql_applies_the_same_files(server: EmbeddedServer, database: Login) -> None:
    """Each file is plain SQL for psql -f, and can be applied twice."""
    files = [DB / "roles.sql", *sorted((DB / "migrations").glob("*.sql"))]
    files += [*sorted((DB / "functions").glob("*.sql")), *sorted((DB / "views").glob("*.sql"))]
    arguments = [word for file in files * 2 for word in ("-f", str(file))]
    command = server.psql("-Xq", "-v", "ON_ERROR_STOP=1", *arguments, dbname=database.keywords["dbname"])
    done = subprocess.run(command.argv, env=command.env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_table_has_a_key_a_comment_and_an_owner_without_login(session: "psycopg.Connection[Any]") -> None:
    """What a reader of the catalog expects."""
    found = rows(
        session,
        """SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname IN ('raw', 'staging', 'mart', 'ops') AND c.relkind IN ('r', 'v')
             AND c.relname <> 'demonstration'
             AND (obj_description(c.oid, 'pg_class') IS NULL OR pg_get_userbyid(c.relowner) <> 'platform_owner'
                  OR c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary))""",
    )
    assert found == []


def test_every_reference_has_an_index_and_holds(session: "psycopg.Connection[Any]") -> None:
    """Seeds are loaded without checking references; so they are checked here."""
    references = rows(
        session,
        """SELECT c.conrelid::regclass::text, c.confrelid::regclass::text, a.attname, b.attname,
                  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])
           FROM pg_constraint c
           JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
           JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
           WHERE c.contype = 'f' AND c.conparentid = 0""",
    )
    assert len(references) >= 12
    for table, parent, column, key, indexed in references:
        assert indexed, f"{table}.{column}"
        orphans = f"SELECT count(*) FROM {table} t LEFT JOIN {parent} p ON t.{column} = p.{key} WHERE p.{key} IS NULL"
        assert rows(session, orphans) == [(0,)], f"{table}.{column}"


def test_games_are_home_games_of_plausible_results(session: "psycopg.Connection[Any]") -> None:
    """Each team plays 17 games, half of them at home, and never two in a week; the playoffs end with one game."""
    assert rows(session, "SELECT DISTINCT count(*) FROM raw.games WHERE game_type = 'REG' GROUP BY season") == [(272,)]
    assert rows(session, "SELECT DISTINCT count(*) FROM raw.games WHERE game_type <> 'REG' GROUP BY season") == [(13,)]
    sides = "SELECT season, week, home_team AS team, true AS home FROM raw.games WHERE game_type = 'REG' UNION ALL "
    sides += "SELECT season, week, away_team, false FROM raw.games WHERE game_type = 'REG'"
    assert rows(session, f"SELECT FROM ({sides}) s GROUP BY season, week, team HAVING count(*) > 1") == []
    each = rows(
        session, f"SELECT DISTINCT count(*), count(*) FILTER (WHERE home) FROM ({sides}) s GROUP BY season, team"
    )
    assert {games for games, _ in each} == {17}
    assert {home for _, home in each} <= {8, 9}


def test_lines_are_near_results(session: "psycopg.Connection[Any]") -> None:
    """Home advantage of two points, totals near 44, closing lines off by 13 points on either side of nothing."""
    [(home, points, error, bias)] = rows(
        session,
        """SELECT avg(home_margin) FILTER (WHERE game_type <> 'SB'), avg(home_score + away_score),
                  stddev(margin_against_spread), avg(margin_against_spread) FROM mart.game_summary""",
    )
    assert 0.8 < home < 4
    assert 42 < points < 46
    assert 11.5 < error < 14
    assert abs(bias) < 1.5
    assert rows(session, "SELECT count(*) FROM raw.odds_history WHERE spread_home * 2 % 1 <> 0") == [(0,)]


def test_weather_follows_roof_season_and_latitude(session: "psycopg.Connection[Any]") -> None:
    """No wind under a roof, domes always closed, January colder than September, Green Bay colder than Miami."""
    assert rows(session, "SELECT max(wind_mph), max(precip_in) FROM raw.weather_hourly WHERE roof_closed") == [(0, 0)]
    roofs = rows(
        session,
        """SELECT roof, min(roof_closed::int), max(roof_closed::int) FROM raw.weather_hourly
           JOIN raw.stadiums USING (stadium_id) GROUP BY roof ORDER BY roof""",
    )
    assert roofs == [("dome", 1, 1), ("open", 0, 0), ("retractable", 0, 1)]
    monthly = (
        "SELECT avg(temp_f) FROM raw.weather_hourly WHERE stadium_id = '{}' AND extract(month FROM observed_at) = {}"
    )
    cold, warm, south = (rows(session, monthly.format(*at))[0][0] for at in (("GB", 12), ("GB", 9), ("MIA", 12)))
    assert cold + 20 < warm
    assert cold + 25 < south


def test_features_know_nothing_of_what_came_later(session: "psycopg.Connection[Any]") -> None:
    """Changing a game and its lines after kickoff changes no feature of that game; it does those of the next."""
    week_3 = "SELECT game_id, home_team FROM raw.games WHERE season = 2024 AND week = 3 ORDER BY game_id LIMIT 1"
    [(game, team)] = rows(session, week_3)
    features = f"""SELECT * FROM mart.asof_team_features
                   WHERE season = 2024 AND '{team}' IN (home_team, away_team) ORDER BY week"""
    before = rows(session, features)
    with session.transaction(force_rollback=True):
        session.execute("UPDATE staging.team_stats SET points = points + 50 WHERE game_id = %s", [game])
        session.execute(
            """UPDATE raw.odds_history AS o SET spread_home = 99 FROM raw.games AS g
               WHERE g.game_id = %s AND o.game_id = g.game_id AND o.captured_at >= g.kickoff""",
            [game],
        )
        after = rows(session, features)
    assert before[:3] == after[:3]
    assert before[3] != after[3]


def test_roles_have_what_they_need_and_no_more(platform: Demonstration) -> None:
    """ops_investigate reads all and writes nothing; ops_migrate changes the platform, and only as its owner."""
    with open_session(platform.login("ops_investigate")) as reader:
        assert rows(reader, "SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 'raw'") == [(True,)]
        assert rows(reader, "SELECT bt_index_check('raw.games_pkey')") == [("",)]
        reader.execute("SET default_transaction_read_only = off")
        for forbidden in (
            "DELETE FROM raw.games",
            "CREATE TABLE public.t ()",
            "CREATE SCHEMA s",
            "SET ROLE platform_owner",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(forbidden)
    with open_session(platform.login("ops_migrate")) as changer:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            changer.execute("ALTER TABLE raw.games ADD COLUMN n int")
        with changer.transaction(force_rollback=True):
            changer.execute("SET ROLE platform_owner")
            changer.execute("ALTER TABLE raw.games ADD COLUMN n int")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            changer.execute("CREATE ROLE r")


def test_seeds_are_the_same_every_time(platform: Demonstration) -> None:
    """A second installation has the same rows, in whatever order two sessions wrote them."""
    tables = ("raw.games", "raw.odds_history", "raw.weather_hourly", "staging.team_stats", "staging.player_game_stats")
    again = replace(platform, database="platform_again")
    demonstrate.install(again, lambda message: None)
    try:
        with open_session(platform.login()) as one, open_session(again.login()) as other:
            for table in tables:
                assert rows(one, DIGEST.format(table)) == rows(other, DIGEST.format(table)), table
    finally:
        demonstrate.reset(again, lambda message: None)

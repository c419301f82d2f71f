"""The work behind init_dev.sh and reset_db.sh. DATABASE_URL is read from the environment: arguments are public."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import psycopg

from ops_lib import wiring
from ops_lib.model.errors import OpsError, Refused
from ops_lib.operations import demonstrate
from ops_lib.operations.demonstrate import Demonstration
from ops_lib.postgres import sql_file
from ops_lib.postgres.migrations.apply import apply_pending

DB = Path(__file__).resolve().parents[2] / "db"
SCHEMAS = "mart, staging, raw, ops"


def main() -> int:
    """Parses, acts, and turns an error into one line."""
    parser = argparse.ArgumentParser(description="Makes or resets the platform's database.")
    parser.add_argument("action", choices=["init", "reset"])
    parser.add_argument("--seeds", action="store_true", help="load the synthetic rows (into an empty platform only)")
    parser.add_argument("--drop", metavar="DATABASE", help="name of the database of DATABASE_URL, to confirm a reset")
    options = parser.parse_args()
    url = os.environ.get("DATABASE_URL")
    try:
        if url:
            with psycopg.connect(url, autocommit=True) as session:
                act_on_own(session, options)
        else:
            act_on_demonstration(options.action)
    except (OpsError, psycopg.Error) as error:
        say(f"error: {error}")
        return getattr(error, "exit_code", 1)
    return 0


def act_on_demonstration(action: str) -> None:
    """The embedded demonstration always has its rows."""
    story = Demonstration(server=wiring.embedded_server(), sql=DB)
    if action == "reset":
        demonstrate.reset(story, say)
    demonstrate.install(story, say)


def act_on_own(session: "psycopg.Connection[Any]", options: argparse.Namespace) -> None:
    """Roles as superuser, all else as the owner of the platform."""
    if options.action == "reset":
        drop(session, options.drop)
    say("roles")
    sql_file.run(session, DB / "roles.sql")
    session.execute("SET ROLE platform_owner")
    apply_pending(session, DB, say)
    session.execute("RESET ROLE")
    for file in sorted((DB / "seeds").glob("*.sql")) if options.seeds else ():
        say(f"loading {file.stem}")
        sql_file.run(session, file)
    if options.seeds:
        session.execute("VACUUM (ANALYZE)")


def drop(session: "psycopg.Connection[Any]", confirmed: str | None) -> None:
    """Drops the four schemas where the caller named the database that they are in."""
    name = session.info.dbname
    if confirmed != name:
        raise Refused(f"this drops {SCHEMAS} in {name} on {session.info.host}", hint=f"confirm with --drop {name}")
    say(f"dropping {SCHEMAS}")
    session.execute(f"DROP SCHEMA IF EXISTS {SCHEMAS} CASCADE")


def say(message: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(f"{message}\n")


if __name__ == "__main__":
    sys.exit(main())

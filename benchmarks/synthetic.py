"""Records as a team's archive has them, made up from a seed: what a year of investigations finds, says and asks."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ops_lib.model import ulid
from ops_lib.model.times import format_instant

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365)
_RUNBOOKS = [
    ("SOP-001", "Deploy a migration"), ("SOP-002", "Back up and prove it"), ("SOP-003", "Refresh the marts"),
    ("SOP-004", "Performance investigation"), ("SOP-005", "Lock chains"), ("OPS-SNAPSHOT", "Take a snapshot"),
]  # fmt: skip
_TARGETS = [("demo", "platform"), ("staging", "platform"), ("prod", "platform"), ("prod-replica", "platform")]
_PEOPLE = ["ana", "bela", "chen", "dora", "emil", "fay", "scheduler"]
_OUTCOMES = ["succeeded"] * 94 + ["failed"] * 3 + ["timed-out", "interrupted", "refused"]
_CAUSES = ["missing-index", "dropped-index", "stale-statistics", "idle-in-transaction", "lock-chain", "bloat"]
_TABLES = [f"{schema}.{name}_{number}" for schema in ("raw", "staging", "mart") for number in range(120)
           for name in ("odds_history", "game_features", "weather", "player_stats")]  # fmt: skip
_CHECKS = """
SELECT a.pid, pg_blocking_pids(a.pid) AS blockers, w.mode, w.locktype, left(a.query, 1000) AS query, a.application_name,
a.usename AS user_name, extract(epoch FROM clock_timestamp() - a.state_change) AS waits_s FROM pg_stat_activity a
JOIN pg_locks w ON w.pid = a.pid AND NOT w.granted WHERE a.datname = current_database();
SELECT queryid::text AS query_id, sum(calls) AS calls, sum(total_exec_time) AS total_ms, sum(rows) AS rows,
sum(shared_blks_hit) AS blocks_hit, sum(temp_blks_read) AS temp_blocks FROM pg_stat_statements GROUP BY queryid;
SELECT schemaname, relname, n_live_tup, n_dead_tup, last_autovacuum, last_autoanalyze FROM pg_stat_user_tables
WHERE n_mod_since_analyze > 0.1 * n_live_tup ORDER BY n_dead_tup DESC;
SELECT current_setting('max_connections')::int AS most, count(*) AS connections, count(*) FILTER (WHERE state =
'idle in transaction') AS idle_in_transaction FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
_SQL = _CHECKS.split(";")
_TOLD = (
    "Nobody waits for a lock.", "No transaction sits open and idle.", "Connections are left.",
    "Statistics are as old as the rows that they describe.", "VACUUM keeps up with dead rows.",
)  # fmt: skip


def run_ids(count: int, seed: int) -> Iterator[str]:
    """Ids spread evenly over a year, the oldest first."""
    randomness = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    for number in range(count):
        yield ulid.make(BEGAN + SPAN * (number / count), randomness.randbytes(10))


def made_up(run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record and its notebook; the same id gives the same ones."""
    chance = random.Random(run_id)  # noqa: S311
    runbook, title = chance.choice(_RUNBOOKS)
    target, database = chance.choice(_TARGETS)
    at = ulid.instant(run_id)
    findings = [_finding(chance) for _ in range(min(4, int(chance.expovariate(1.2))))]
    outcome = chance.choice(_OUTCOMES)
    record = {
        "schema": 1, "run_id": run_id, "outcome": outcome, "parameters": {"since": chance.choice(["", "24h", "7d"])},
        "runbook": {"id": runbook, "title": title, "hazard": "read-only", "owner": "devops",
                    "file": f"runbooks/{runbook.lower()}.ipynb", "sha256": "0" * 64, "commit": None},
        "error": None if outcome == "succeeded" else {"type": "StatementFailed", "hint": "see in which cell",
                                                      "message": "canceling statement due to lock timeout"},
        "cause": {"kind": "person", "who": chance.choice(_PEOPLE), "how_known": "local user"},
        "reason": f"incident {chance.randrange(100_000)} on {chance.choice(_TABLES)}", "ticket": None,
        "target": {"name": target, "kind": "postgres", "system_identifier": f"77114936662{len(target)}",
                   "database": database, "server_version": 180006, "guard": "role"},
        "queued_at": format_instant(at), "started_at": format_instant(at), "ended_at": format_instant(at),
        "cells": [{"id": str(n), "heading": text, "status": "ok"} for n, text in enumerate(_TOLD)], "steps": [],
        "statements": [{"at": format_instant(at), "sql": sql, "seconds": 0.001} for sql in _SQL],
        "findings": findings, "metrics": {}, "approvals": [], "handoffs": [], "undo": None, "files": [],
    }  # fmt: skip
    rows = "\n".join(f"{chance.choice(_TABLES)} {chance.randrange(10**7)} rows" for _ in range(20))
    texts = [*_TOLD, rows]
    return record, {"cells": [{"cell_type": "code", "outputs": [{"output_type": "stream", "text": t}]} for t in texts]}


def _finding(chance: random.Random) -> dict[str, Any]:
    table, cause = chance.choice(_TABLES), chance.choice(_CAUSES)
    milliseconds = chance.randrange(10, 10_000)
    return {
        "key": f"{cause}:{table}", "check": cause, "subject": table, "cause": cause, "rank": 1, "symptoms": [],
        "severity": chance.choice(["info", "warning", "warning", "critical"]),
        "summary": f"{table} is read from end to end by query {chance.randrange(10**15)}, {milliseconds} ms a call",
        "evidence": {"query_id": str(chance.randrange(10**15)), "mean_ms": milliseconds},
        "remedy": {"text": "Make the index that serves this query.", "runbook": None, "parameters": None,
                   "sql": f"CREATE INDEX CONCURRENTLY ON {table} (game_id, captured_at)"},
    }  # fmt: skip


def contents(run_id: str) -> dict[str, bytes]:
    """The files of a record folder that a search reads."""
    record, notebook = made_up(run_id)
    return {"record.json": json.dumps(record, indent=1).encode(), "notebook.ipynb": json.dumps(notebook).encode()}

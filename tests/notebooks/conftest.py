"""A record and its notebook as a run on a sick platform leaves them."""

from functools import cache
from typing import Any

import pytest

from ops_lib.model.finding import Finding, Remedy, Severity, ranked
from ops_lib.model.result import Metric, Result, Table
from ops_lib.notebooks.display import mimebundle
from ops_lib.notebooks.pictures import Pair, before_and_now

QUERY = "SELECT g.season, avg(o.spread_close) FROM mart.game_summary g JOIN raw.odds_history o USING (game_id) WHERE g.season >= $1 GROUP BY 1"  # noqa: E501


def findings() -> list[Finding]:
    """Two causes, what they explain, and a thing worth noting."""
    return [
        Finding(
            check="queries",
            subject="query:8712340912834",
            severity=Severity.WARNING,
            cause="slow-query",
            summary="Feature extraction takes 12.4 s a call, 40 times as long as when the snapshot was taken (310 ms).",
            evidence={"query": QUERY, "mean_ms": 12400.2, "was_ms": 310.0, "calls": 41, "rows": 50231},
            remedy=Remedy(text="Act on the dropped index first: it explains this."),
            weight=0.71,
        ),
        Finding(
            check="changes",
            subject="raw.odds_history",
            severity=Severity.CRITICAL,
            cause="dropped-index",
            summary="The index odds_history_game_id_idx was there at 04:00 and is gone; "
            "41 calls since have read all 2,104,331 rows of the table.",
            evidence={
                "index": "odds_history_game_id_idx",
                "definition": "CREATE INDEX odds_history_game_id_idx ON raw.odds_history USING btree (game_id)",
                "rows": 2104331,
                "seq_scans_since": 41,
                "share_of_time": 0.7123,
                "queries": [
                    {"queryid": 8712340912834, "calls": 41, "mean_ms": 12400.2, "query": QUERY},
                    {"queryid": 912834087, "calls": 3, "mean_ms": 804.5, "query": "SELECT * FROM raw.odds_history"},
                ],
            },
            remedy=Remedy(
                text="Create the index again; CONCURRENTLY lets writers go on.",
                sql="CREATE INDEX CONCURRENTLY odds_history_game_id_idx ON raw.odds_history USING btree (game_id);",
            ),
            weight=0.71,
            symptoms=("queries:query:8712340912834", "cache:database"),
        ),
        Finding(
            check="statistics",
            subject="raw.weather_hourly",
            severity=Severity.WARNING,
            cause="stale-statistics",
            summary="Statistics are from before 612,000 rows were loaded: the planner expects 1 row and meets 612,000.",
            evidence={"last_analyze": "2026-01-30T03:58:12Z", "rows_changed": 612000, "rows": 1042000},
            remedy=Remedy(
                text="Gather statistics; it takes seconds and blocks nobody.", sql="ANALYZE raw.weather_hourly;"
            ),
            weight=0.2,
        ),
        Finding(
            check="cache",
            subject="database",
            severity=Severity.INFO,
            cause="cache-misses",
            summary="The share of blocks found in memory fell from 99 % to 83 %.",
            evidence={"share_then": 0.99, "share_now": 0.83},
            remedy=Remedy(text="Act on the dropped index first."),
        ),
        Finding(
            check="sizes",
            subject="raw.odds_history",
            severity=Severity.INFO,
            cause="large-table",
            summary="The largest table, 412 MB with its indexes, grew by 3 % in a week.",
            evidence={"total_mb": 412.3, "growth_pct": 3.1},
            remedy=Remedy(text="Nothing to do."),
        ),
    ]


@cache
def results() -> dict[str, Result]:
    """What the cells of the runbook show, by cell."""
    slow, dropped, stale, cache, size = findings()
    pairs = [
        Pair(label=QUERY, before=0.31, now=12.4),
        Pair(label="SELECT * FROM raw.odds_history WHERE game_id = $1", before=0.0012, now=0.84),
        Pair(label="INSERT INTO staging.weather_game_window SELECT …", before=None, now=0.094),
    ]
    return {
        "locks": Result(
            title="Locks",
            verdict="Nobody waits: 14 sessions, no chain.",
            metrics={"sessions": Metric(value=14, unit="sessions")},
        ),
        "changes": Result(
            title="What changed",
            verdict="An index of raw.odds_history is gone and a large load has left its statistics behind.",
            findings=(dropped, stale, cache),
            table=Table.of(
                ["object", "kind", "then", "now"],
                [
                    ["raw.odds_history.odds_history_game_id_idx", "index", "45 MB", None],
                    ["raw.weather_hourly", "rows", 430000, 1042000],
                ],
            ),
            next_step="Create the index again, then run this once more.",
            picture=before_and_now(pairs, before="31 Jan 04:00", now="now"),
        ),
        "queries": Result(
            title="Costly queries",
            verdict="One query takes 71 % of the time of this database.",
            findings=(slow,),
            table=Table(
                columns=("queryid", "calls", "mean_ms", "total_s", "hit_ratio", "query"),
                rows=tuple((8712340912834 + i, 41 * i, 12400.2 / (i + 1), 508.4, 0.83, QUERY) for i in range(20)),
                total=133,
            ),
            notes=("Plans of 3 queries are not visible: they belong to roles that this login may not read.",),
        ),
        "sizes": Result(title="Sizes", verdict="Sizes are as they were.", findings=(size,)),
        "replication": Result(title="Replicas", verdict="Not asked.", skipped="pg_stat_replication may not be read"),
    }


def make_record(**changes: Any) -> dict[str, Any]:
    """record.json, schema 1, of that run."""
    found = ranked(finding for result in results().values() for finding in result.findings)
    cells = ["parameters", "injected-parameters", "open", *results(), "later"]
    record = {
        "schema": 1,
        "run_id": "01KGC2V5T5Z8Q4M1F3W9X7R2AB",
        "resumes": None,
        "runbook": {
            "id": "SOP-004",
            "title": "Performance investigation",
            "hazard": "read-only",
            "owner": "devops",
            "file": "runbooks/sop-004-performance-investigation.ipynb",
            "sha256": "9f" * 32,
            "commit": "5e1f0c7",
        },
        "outcome": "succeeded",
        "error": None,
        "cause": {"kind": "person", "who": "ana", "how_known": "the account that ran the command"},
        "reason": "feature extraction takes 45 minutes, was 5",
        "ticket": "OPS-812",
        "incident": None,
        "parameters": {"since": "24h", "slow_ms": 100},
        "target": {
            "name": "platform",
            "kind": "postgres",
            "system_identifier": "7523912873645",
            "database": "nfl",
            "server_version": 180006,
            "guard": "role",
        },
        "scheduled_for": None,
        "queued_at": "2026-01-31T04:05:06.789Z",
        "started_at": "2026-01-31T04:05:07.123Z",
        "ended_at": "2026-01-31T04:05:13.456Z",
        "software": {"python": "3.11.9", "ops_lib": "0.1.0", "postgres_client": "18.0", "packages_sha256": None},
        "cells": [{"id": c, "heading": c, "status": "ok", "started_at": None, "seconds": 0.41} for c in cells],
        "steps": [],
        "statements": [],
        "findings": [finding.to_json() for finding in found],
        "metrics": {"sessions": {"value": 14, "unit": "sessions"}},
        "since_last": {
            "run_id": "01KG9XX5T5Z8Q4M1F3W9X7R2AB",
            "ended_at": "2026-01-30T04:00:13.456Z",
            "outcome": "succeeded",
            "new": ["changes:raw.odds_history", "statistics:raw.weather_hourly", "queries:query:8712340912834"],
            "gone": ["locks:application:etl"],
            "worse": [],
            "metrics": {"mean_ms": {"before": 310.0, "now": 12400.2, "unit": "ms"}},
        },
        "approvals": [],
        "handoffs": [],
        "undo": None,
        "hidden": {"count": 1, "kinds": ["password"]},
        "files": [],
    }
    return {**record, **changes}


def code(name: str, source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> dict[str, Any]:
    """A code cell with its outputs."""
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": list(outputs),
        "execution_count": None,
    }


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """The output of an expression."""
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}


def prose(source: str) -> dict[str, Any]:
    """A cell of text."""
    return {"cell_type": "markdown", "id": f"prose-{abs(hash(source)) % 10**8}", "metadata": {}, "source": source}


def make_notebook() -> dict[str, Any]:
    """The notebook of that run."""
    found = results()
    cells = [
        {"cell_type": "raw", "id": "front", "metadata": {}, "source": "---\nid: SOP-004\n---"},
        prose("# Performance investigation\n\nOpen this when something is slow. It never changes anything."),
        code("open", "from ops_lib.runbook import *"),
        code("parameters", "since: timedelta = '24h'  # how old the snapshot is", tags=("parameters",)),
        code("injected-parameters", "since = timedelta(seconds=86400)\nslow_ms = 100", tags=("injected-parameters",)),
    ]
    headings = {
        "locks": "## Is anyone waiting?\n\nA chain is **named by its head**.\n\n*Expect: no chain over a minute.*",
        "changes": "## What changed since it was well?\n\nCompared with the newest snapshot that is old enough.",
        "queries": "## Which queries cost the most?\n\nOver 100 ms is slow.",
        "sizes": "## How large is everything?",
        "replication": "## Are the replicas close behind?",
    }
    for name, result in found.items():
        cells += [prose(headings[name]), code(name, f'check(database, "{name}")', shown(mimebundle(result)))]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [*cells, code("later", 'note("done")')]}


@pytest.fixture
def record() -> dict[str, Any]:
    return make_record()


@pytest.fixture
def notebook() -> dict[str, Any]:
    return make_notebook()

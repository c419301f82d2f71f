"""Comparing two runs: what counts as a difference, what is noise, and how it reads."""

from copy import deepcopy
from typing import Any

from ops_lib.model.comparison import compare
from ops_lib.model.contrast import render_comparison
from ops_lib.model.snapshot import Snapshot
from ops_lib.model.target import Guard, Identity
from ops_lib.model.times import parse_instant


def finding(
    key: str, severity: str = "warning", cause: str = "missing-index", summary: str = "3 rows"
) -> dict[str, Any]:
    """A finding as far as a comparison reads it."""
    return {"key": key, "severity": severity, "cause": cause, "summary": summary}


def record(*findings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A record as far as a comparison reads it."""
    return {
        "run_id": "01KDVDNA000000000000000000", "runbook": {"id": "SOP-004", "sha256": "a" * 64, "commit": None},
        "target": {"name": "demo"}, "outcome": "succeeded", "findings": list(findings), "parameters": {"since": ""},
        "metrics": {"waits": {"value": 4, "unit": "s"}, "rows": {"value": 0, "unit": "rows"}},
        "started_at": "2026-01-01T00:00:00.000Z", "ended_at": "2026-01-01T00:00:05.000Z", **changes,
    }  # fmt: skip


def test_a_run_and_its_repetition_are_the_same_whatever_their_sentences_count() -> None:
    """Numbers in summaries are no difference; keys, causes and severities are."""
    found = [finding("a:x", summary="3 sessions wait 2 s"), finding("b:y", "critical")]
    again = [finding("b:y", "critical", summary="other"), finding("a:x", summary="5 sessions wait 9 s")]
    comparison = compare(record(*found), record(*again))
    assert comparison.same_findings
    assert comparison.to_json()["findings"]["same"] is True
    text = render_comparison(comparison)
    assert "no difference" in text[-1]


def test_findings_are_new_gone_worse_better_or_of_another_cause() -> None:
    """In the order in which the runs rank them."""
    before = record(finding("a:x"), finding("b:y", "critical"), finding("c:z"), finding("d:w"))
    now = record(finding("e:v"), finding("a:x", "critical"), finding("b:y", "info"), finding("c:z", cause="bloat"))
    brief = compare(before, now).since_last()
    assert {name: brief[name] for name in ("new", "gone", "unseen", "worse", "better", "other")} == {
        "new": ["e:v"], "gone": ["d:w"], "unseen": [], "worse": ["a:x"], "better": ["b:y"], "other": ["c:z"],
    }  # fmt: skip


def test_what_a_failed_run_did_not_see_is_not_called_gone() -> None:
    """A run that ended early is no good news."""
    comparison = compare(record(finding("a:x")), record(outcome="failed"))
    assert comparison.gone == ()
    assert [f["key"] for f in comparison.unseen] == ["a:x"]
    assert any(line.startswith("unseen") for line in render_comparison(comparison))


def test_metrics_parameters_and_versions_that_moved_are_told_with_both_values() -> None:
    """A ratio where there is one; what is in one run only, or has another unit, has not moved."""
    now = record(
        metrics={
            "waits": {"value": 10, "unit": "s"},
            "rows": {"value": 2, "unit": "rows"},
            "x": {"value": 1, "unit": ""},
        },
        parameters={"since": "24h"},
        runbook={"id": "SOP-004", "sha256": "b" * 64, "commit": None},
        started_at=None,
    )
    document = compare(record(), now).to_json()
    assert document["metrics"] == {
        "waits": {"before": 4, "now": 10, "unit": "s", "ratio": 2.5},
        "rows": {"before": 0, "now": 2, "unit": "rows", "ratio": None},
    }
    assert document["parameters"] == {"since": {"before": "", "now": "24h"}}
    assert document["runbook"] == {"sha256": {"before": "a" * 64, "now": "b" * 64}}
    assert document["seconds"] == {"before": 5.0, "now": None, "ratio": None}
    assert document["settings"] is None
    other_unit = record(metrics={"waits": {"value": 4000, "unit": "ms"}})
    assert compare(record(), other_unit).metrics == {}


def test_source_is_compared_without_the_parameters_that_a_run_was_given() -> None:
    """Cells as lists of lines or as one text are the same; an injected cell is no edit."""
    notebook = {"cells": [{"cell_type": "code", "source": "check(database, 'locks')", "metadata": {}}]}
    given = {"cell_type": "code", "source": "since = '24h'", "metadata": {"tags": ["injected-parameters"]}}
    same = {"cells": [given, {"cell_type": "code", "source": ["check(database, 'locks')"], "metadata": {}}]}
    assert compare(record(), record(), notebooks=(notebook, same)).source == ()
    edited = deepcopy(notebook)
    edited["cells"][0]["source"] = "check(database, 'bloat')"
    assert compare(record(), record(), notebooks=(notebook, edited)).source[3:] == (
        "-check(database, 'locks')", "+check(database, 'bloat')", " ",
    )  # fmt: skip


def snapshot(**settings: str) -> Snapshot:
    """A snapshot of settings and nothing else."""
    identity = Identity(
        system_identifier="1", database="d", server_version=180000, user="u", guard=Guard.ROLE, in_recovery=False,
        extensions={}, can_monitor=True, can_read_all=True,
    )  # fmt: skip
    return Snapshot(
        taken_at=parse_instant("2026-01-01"), identity=identity, settings=settings, tables=(), indexes=(), columns=(),
        statements=None,
    )  # fmt: skip


def test_settings_are_compared_where_both_runs_kept_a_snapshot() -> None:
    """Each with both values, and once."""
    snapshots = (snapshot(work_mem="4MB", jit="on"), snapshot(work_mem="64MB", jit="on"))
    document = compare(record(), record(), snapshots=snapshots).to_json()
    assert document["settings"] == {"work_mem": {"before": "4MB", "now": "64MB"}}
    assert document["changes"] == []


def test_the_largest_comparison_fits_one_screen_and_says_what_it_left_out() -> None:
    """Every kind of difference keeps at least a line, and no name moves the cursor."""
    many = [finding(f"n{number}:\x1b[2J") for number in range(50)]
    metrics = {f"m{number}": {"value": number + 9, "unit": "s"} for number in range(50)}
    before = {name: {"value": 1, "unit": "s"} for name in metrics}
    comparison = compare(
        record(*[finding(f"g{number}") for number in range(50)], metrics=before),
        record(*many, metrics=metrics, parameters={f"p{number}": number for number in range(9)}),
        notebooks=({"cells": [{"source": "a\n" * 99}]}, {"cells": [{"source": "b\n" * 99}]}),
    )
    lines = render_comparison(comparison, width=80)
    assert len(lines) <= 24
    assert all(line.isprintable() and len(line) <= 80 for line in lines)
    assert {line.split()[0] for line in lines} >= {"new", "gone", "parameter", "metric", "source"}
    assert sum("more (--json has all)" in line for line in lines) == 5

"""The verdict of a record, and how it reads on a terminal and in a chat."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_lib.model.finding import Finding, Remedy, Severity, ranked
from ops_lib.model.result import Result
from ops_lib.model.run import Outcome
from ops_lib.model.telling import LINES, render_markdown, render_terminal
from ops_lib.model.verdict import verdict_of

SQL = "CREATE INDEX CONCURRENTLY odds_history_game_id_idx ON raw.odds_history USING btree (game_id);"


def finding(number=1, severity=Severity.WARNING, **changes):
    """A finding of its own subject."""
    plain = {
        "check": "statistics",
        "subject": f"raw.table_{number}",
        "severity": severity,
        "cause": "stale-statistics",
        "summary": f"Statistics of table {number} are from before its last load of 612,000 rows.",
        "remedy": Remedy(text="Gather statistics.", sql=f"ANALYZE raw.table_{number};"),
    }
    return Finding(**{**plain, **changes})


def record_of(*findings, **changes):
    """record.json with these findings, ranked."""
    record = {
        "run_id": "01KGC2V5T5Z8Q4M1F3W9X7R2AB",
        "runbook": {"id": "SOP-004", "title": "Performance investigation"},
        "outcome": "succeeded",
        "error": None,
        "cause": {"kind": "person", "who": "ana", "how_known": "account"},
        "reason": None,
        "ticket": None,
        "target": {"name": "platform", "guard": "role"},
        "started_at": "2026-01-31T04:05:07.123Z",
        "ended_at": "2026-01-31T04:05:13.456Z",
        "cells": [{"id": "a", "heading": "A", "status": "ok", "seconds": 1.0}],
        "findings": [item.to_json() for item in ranked(findings)],
        "since_last": None,
    }
    return {**record, **changes}


def test_a_healthy_database_is_said_to_be_one():
    """Without findings above info there is nothing to act on, and the tone is good."""
    verdict = verdict_of(record_of(finding(severity=Severity.INFO)))
    assert verdict.headline == "Nothing to act on: nothing above info."
    assert (verdict.tone, verdict.act, len(verdict.noted)) == ("good", (), 1)


def test_symptoms_are_folded_under_their_cause():
    """A cause comes first, with what it explains below it and nowhere else."""
    cause = finding(1, symptoms=("statistics:raw.table_2",))
    verdict = verdict_of(record_of(finding(2, Severity.CRITICAL), cause))
    assert [root.finding.subject for root in verdict.act] == ["raw.table_1"]
    assert [symptom.subject for symptom in verdict.act[0].symptoms] == ["raw.table_2"]
    assert verdict.severity is Severity.CRITICAL
    assert verdict.headline.startswith("One thing to act on, explaining 1 symptom. First: Statistics of table 1")


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.SUCCEEDED])
def test_a_run_that_did_not_succeed_says_why_first(outcome):
    """The reason and the hint come first, and what was found until then is not lost."""
    error = {"type": "Refused", "message": "the target cannot be reached", "hint": "is it up?", "cell": None}
    verdict = verdict_of(record_of(finding(), outcome=outcome.value, error=error))
    assert "the target cannot be reached: is it up? Until then it found one thing" in verdict.headline
    assert verdict.tone in ("warning", "critical")


def test_what_could_not_be_seen_is_said():
    """Skipped questions, notes and cells that never ran are all named, once."""
    results = [
        Result(title="Queries", verdict="", skipped="pg_stat_statements is not loaded", notes=("Plans not visible.",)),
        Result(title="Locks", verdict="", notes=("Plans not visible.",)),
    ]
    cells = [{"id": "a", "heading": None, "status": "not-run", "seconds": None}] * 2
    verdict = verdict_of(record_of(cells=cells), results)
    assert verdict.unseen == (
        "Queries: pg_stat_statements is not loaded",
        "Plans not visible.",
        "2 cells never ran",
    )


def test_what_changed_is_said_with_what_moved_most():
    """New, worse and gone findings, and metrics that moved by a fifth or more."""
    since = {
        "run_id": "X",
        "ended_at": "2026-01-30T04:00:00.000Z",
        "new": ["a:b"],
        "gone": [],
        "worse": ["c:d"],
        "metrics": {
            "mean_ms": {"before": 310, "now": 12400.0, "unit": "ms"},
            "sessions": {"before": 14, "now": 15, "unit": "sessions"},
        },
    }
    assert verdict_of(record_of(since_last=since)).changed == (
        "new since 2026-01-30 04:00 UTC: a:b",
        "worse since 2026-01-30 04:00 UTC: c:d",
        "mean_ms: 310 before, 12,400 ms now",
    )


def test_the_terminal_shows_cause_remedy_and_where_the_record_is():
    """The first finding is whole, its SQL can be copied, and the last lines are paths."""
    cause = finding(1, Severity.CRITICAL, remedy=Remedy(text="Create it again.", sql=SQL))
    lines = render_terminal(verdict_of(record_of(cause, finding(2))), folder="outputs/records/X")
    assert lines[0] == "SOP-004 Performance investigation on platform: succeeded after 6.3 s"
    assert "1 critical  raw.table_1  stale-statistics" in lines
    begin = next(place for place, line in enumerate(lines) if "CREATE INDEX" in line)
    assert " ".join(" ".join(lines[begin : begin + 2]).split()) == SQL
    assert lines[-2:] == ["record  outputs/records/X", "report  outputs/records/X/report.html"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 14, 200])
@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_screen_is_never_exceeded(count, width):
    """However much was found, 24 lines of the given width hold the verdict, and say what they leave out."""
    found = [finding(n, remedy=Remedy(text="Do this. " * 30, sql=SQL * 3)) for n in range(count)]
    notes = tuple(f"note {n} " * 20 for n in range(9))
    verdict = verdict_of(record_of(*found), [Result(title="", verdict="", notes=notes)])
    lines = render_terminal(verdict, width=width, folder="outputs/records/X")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= width
    if count == 200:
        assert any(re.fullmatch(r"and \d+ more in the report", line) for line in lines)


def test_sql_is_never_shown_in_part():
    """SQL that does not fit, or that a break would change, is left to the report."""
    long = "\n".join(f"ANALYZE raw.t{n};" for n in range(9))
    quoted = "SELECT '" + "a b " * 40 + "';"
    hostile = "SELECT 1;\x1b[2K"
    for sql in (long, quoted, hostile):
        verdict = verdict_of(record_of(finding(remedy=Remedy(text="Do.", sql=sql))))
        lines = render_terminal(verdict)
        assert "    (SQL in the report)" in lines
        assert not any("SELECT" in line or "ANALYZE" in line for line in lines)


@given(st.text(), st.text(max_size=300))
def test_no_name_moves_a_cursor_or_adds_a_line(subject, summary):
    """Whatever a table is called, every line is printable and the screen holds."""
    lines = render_terminal(verdict_of(record_of(finding(subject=subject, summary=summary))), folder="X")
    assert len(lines) <= LINES
    assert all(line.isprintable() for line in lines)


def test_colour_is_only_there_when_asked_for():
    """Without colour there is no escape sequence; with it the words are the same."""
    verdict = verdict_of(record_of(finding(severity=Severity.CRITICAL)))
    bare, painted = render_terminal(verdict), render_terminal(verdict, colour=True)
    assert "\x1b" not in "".join(bare)
    assert "\x1b[1;31mcritical\x1b[0m" in "".join(painted)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == bare


def test_markdown_is_ready_for_a_ticket():
    """Findings with their SQL in a fence, and where it came from."""
    text = render_markdown(record_of(finding(remedy=Remedy(text="Create it.", sql=SQL)), reason="slow", ticket="OPS-1"))
    assert text.startswith("**SOP-004 Performance investigation** on `platform`: One thing to act on.\n")
    assert f"   ```sql\n   {SQL}\n   ```\n" in text
    assert "asked for by person ana; reason: slow; ticket: OPS-1; guard: role" in text


def test_markdown_is_never_taken_for_markup():
    """Backticks, links and headings in names stay text, and a fence in SQL ends nothing."""
    name = "a`b](http://x)<script>\n# c"
    text = render_markdown(record_of(finding(subject=name, summary=name, remedy=Remedy(text=name, sql="```\nx"))))
    assert "``  a`b" in text.replace("`` a`b", "``  a`b")
    assert "\\<script\\>" in text
    assert "\n# c" not in text
    assert "   ````sql" in text

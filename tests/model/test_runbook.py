"""The contract of a front matter: what is accepted, and what each refusal says."""

from datetime import timedelta

import pytest

from ops_lib.model.errors import BadRunbook
from ops_lib.model.runbook import runbook_from
from ops_lib.model.target import Hazard

GOOD = {
    "id": "SOP-004",
    "title": "Performance investigation",
    "hazard": "read-only",
    "owner": "devops",
    "timeout": "15m",
    "needs": ["target:postgres"],
    "wants": ["extension:pg_stat_statements"],
    "schedule": None,
    "related": ["SOP-001", "REV-CAPACITY"],
}


def test_a_good_front_matter_becomes_a_runbook():
    """Every key arrives typed."""
    runbook = runbook_from(GOOD, path="runbooks/sop-004-performance-investigation.ipynb", sha256="0" * 64)
    assert runbook.hazard is Hazard.READ_ONLY
    assert runbook.timeout == timedelta(minutes=15)
    assert runbook.needs == ("target:postgres",)
    assert runbook.related == ("SOP-001", "REV-CAPACITY")
    assert runbook.schedule is None
    assert runbook.stem == "sop-004-performance-investigation"


def test_only_five_keys_are_needed_and_jupytext_is_tolerated():
    """Lists and the schedule may be left out; the key that jupytext adds means nothing."""
    few = {key: GOOD[key] for key in ("id", "title", "hazard", "owner", "timeout")}
    assert runbook_from({**few, "jupyter": {"kernelspec": {}}}).needs == ()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("id", "sop-004", "SOP-004 or OPS-SNAPSHOT, found 'sop-004'"),
        ("id", "../SOP-1", "found '../SOP-1'"),
        ("id", 4, "found 4"),
        ("title", "", "one line of text"),
        ("title", "two\nlines", "one line of text"),
        ("hazard", "harmless", "read-only or changes or destructive, found 'harmless'"),
        ("hazard", None, "found None"),
        ("timeout", 15, "such as 90s, 15m or 2h, at most 7d, found 15"),
        ("timeout", "0s", "found '0s'"),
        ("timeout", "99d", "found '99d'"),
        ("needs", "target:postgres", "a list such as [target:postgres]"),
        ("needs", ["postgres"], "target:NAME"),
        ("needs", ["database:postgres"], "target:NAME"),
        ("schedule", "0 6 * * 1", "with a time zone"),
        ("schedule", "daily", "with a time zone"),
        ("related", ["sop-001"], "[SOP-001]"),
        ("owner", ["a", "b"], "one line of text"),
    ],
)
def test_each_fault_names_key_expected_form_and_value(key, value, said):
    """The key, what is expected and what was found are in the message."""
    with pytest.raises(BadRunbook) as caught:
        runbook_from({**GOOD, key: value})
    assert f"{key}: expected" in caught.value.message
    assert said in caught.value.message


def test_a_schedule_has_five_fields_and_a_zone():
    """A cron expression without a time zone would run at another hour on another machine."""
    assert runbook_from({**GOOD, "schedule": "*/5 6-8 * * MON,TUE Europe/London"}).schedule
    assert runbook_from({**GOOD, "schedule": "0 6 * * 1 UTC"}).schedule


def test_unknown_and_missing_keys_are_named_together():
    """A misspelt key is answered with the nearest one, and everything is said at once."""
    front = {**GOOD, "time_out": "15m"}
    del front["timeout"]
    with pytest.raises(BadRunbook) as caught:
        runbook_from(front)
    assert "time_out: unknown key, did you mean timeout?" in caught.value.message
    assert "timeout is missing: expected a duration" in caught.value.message

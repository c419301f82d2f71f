"""Handoffs as YAML: every message of the handbook, there and back, and what is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given

from ops_lib.model.errors import BadInput
from ops_lib.model.handoff import read_handoff
from ops_lib.model.triggers import TRIGGERS
from ops_lib.notebooks.handoff_yaml import handoff_yaml, parse_handoff
from tests.model.test_handoff import FREE

HANDBOOK = sorted((Path(__file__).parents[1] / "handbook").glob("*.yaml"))
DONE = """\
trigger: database_migration_complete
context:
  - migration_files: ["a.sql"]
  - affected_tables:
      - raw.a
  - breaking_changes: false
urgency: low
"""


def test_every_trigger_of_the_handbook_is_known() -> None:
    """And none is known that the handbook does not have."""
    assert [path.stem for path in HANDBOOK] == sorted(TRIGGERS)


@pytest.mark.parametrize("path", HANDBOOK, ids=lambda path: path.stem)
def test_a_message_of_the_handbook_comes_back_as_it_was(path: Path) -> None:
    """Read, written and read again it is equal, and the second writing is the first."""
    read = parse_handoff(path.read_text(encoding="utf-8"))
    written = handoff_yaml(read.to_json())
    assert read.trigger == path.stem
    assert parse_handoff(written) == read
    assert handoff_yaml(parse_handoff(written).to_json()) == written


@example({"trigger": "moved", "timeline": "rare\x85breaks\u2028of\u2029lines", "context": {"a": 1e300, "b": -0.0}})
@example({"trigger": "moved", "context": {"no": "no", "1:30": "1:30", "<<": "2026-01-31", "e": "1e3", "=": "= "}})
@given(FREE)
def test_what_can_be_read_can_be_written(document: dict[str, Any]) -> None:
    """Whatever texts, numbers and lists a context holds, YAML brings them back as they were."""
    read = read_handoff(document)
    assert parse_handoff(handoff_yaml(read.to_json())) == read


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("false", "maybe", "line 6: context.breaking_changes is 'maybe', expected true or false"),
        ("false", "no", 'line 6: context.breaking_changes: YAML reads no as a bool: write "no" in quotes'),
        ("      - raw.a", "      - 7", r"line 5: context.affected_tables\[0\] is 7, expected text"),
        ("- affected_tables", "- affected_table", "line 5: context.affected_table is not known here, expected"),
        ('  - migration_files: ["a.sql"]\n', "", "line 3: context.migration_files is missing"),
        ("  - breaking_changes: false", "  - affected_tables: []", "line 6: context.affected_tables is given twice"),
        ("urgency: low", "trigger: moved", "line 7: trigger is given twice"),
        ("urgency: low", "urgency: soon", "line 7: urgency is 'soon', expected low, medium or high"),
        ("urgency: low", "urgent: low", "line 7: urgent is not known here, expected urgency"),
        ("urgency: low", "timeline: 2026-01-31", "line 7: timeline: YAML reads 2026-01-31 as a timestamp"),
        ('["a.sql"]', '["a.sql"', "line 4: .*did not find expected"),
        ('["a.sql"]', "&x [a.sql]\n  - affected: *x", "line 3: context.affected: an alias"),
        ('["a.sql"]', "!!python/object/apply:os.system [echo]", "line 3: context.migration_files: the tag"),
        ("urgency: low", "timeline: " + "[" * 9 + "]" * 9, "line 7: nested too deeply"),
        (DONE, "", "has no value, expected a mapping with trigger"),
        (DONE, "- a\n", r"line 1: is \['a'\], expected a mapping with trigger"),
        (DONE, "a: 1\n---\nb: 2", "single document"),
        (DONE, "a" * 64_001, "longer than 64000 characters"),
    ],
)
def test_a_fault_has_its_file_its_line_and_its_field(old: str, new: str, said: str) -> None:
    """One line says where to look and what was expected there."""
    assert old in DONE
    with pytest.raises(BadInput, match=f"done.yaml: .*{said}") as caught:
        parse_handoff(DONE.replace(old, new, 1), name="done.yaml")
    assert "\n" not in str(caught.value)

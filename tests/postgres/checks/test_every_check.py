"""A check is a question, a judge, a page and a test with one stem."""

from pathlib import Path

import pytest

from ops_lib.model.causes import CAUSES
from ops_lib.postgres import checks
from ops_lib.postgres.checks import CHECKS
from ops_lib.postgres.questions import parse

ROOM = Path(checks.__file__).parent
SHARED = {"__init__", "evidence"}


def test_nothing_is_missing_and_nothing_is_left_over() -> None:
    """Each registered check has all four, and no file stands alone."""
    for suffix in (".sql", ".py", ".md"):
        assert {file.stem for file in ROOM.glob(f"*{suffix}")} - SHARED == set(CHECKS), suffix
    tests = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    assert tests - {"every_check"} == set(CHECKS)


@pytest.mark.parametrize(
    "file", sorted([*ROOM.glob("*.sql"), *(ROOM.parent / "questions").glob("*.sql")]), ids=lambda f: f.stem
)
def test_every_question_has_its_header(file: Path) -> None:
    """What it asks, which privileges it needs, which servers it serves; and every statement stands under one."""
    text = file.read_text(encoding="utf-8")
    found = parse(text)
    assert found, file.name
    assert len(found) == text.count("-- Privileges:") == text.count(";\n") or file.stem == "configure"
    assert all(item.servers == range(14, 19) for item in found)


@pytest.mark.parametrize("name", CHECKS)
def test_every_page_says_what_it_asks_and_its_causes(name: str) -> None:
    """The page has the title of the check, and names each cause that its judge may give."""
    page = (ROOM / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {CHECKS[name].title}\n")
    judge = (ROOM / f"{name}.py").read_text(encoding="utf-8")
    given = [slug for slug in CAUSES if f'"{slug}"' in judge]
    assert [slug for slug in given if f"`{slug}`" not in page] == []

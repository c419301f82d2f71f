"""The catalogue of causes: what code may say, what people can look up."""

import re
from pathlib import Path

from ops_lib.model.causes import CAUSES

ROOT = Path(__file__).parent.parent.parent
SOURCES = [
    *(ROOT / "ops_lib/postgres/checks").glob("*.py"),
    ROOT / "ops_lib/operations/diagnose.py",
    *(ROOT / "ops_lib/operations/migrations" / name for name in ("telling.py", "proof.py")),
    ROOT / "ops_lib/operations/backups/results.py",
]
SLUG = re.compile(r"\"((?:[a-z]+-)+[a-z]+)\"")


def test_every_slug_in_the_code_is_in_the_catalogue() -> None:
    """A check names no cause that the catalogue does not explain, and the catalogue has none that nobody names."""
    used = {slug for file in SOURCES for slug in SLUG.findall(file.read_text(encoding="utf-8"))}
    assert used == set(CAUSES)


def test_the_page_is_the_catalogue() -> None:
    """docs/causes.md has one line for each slug, with the words of the catalogue."""
    page = (ROOT / "docs/causes.md").read_text(encoding="utf-8")
    rows = [f"| `{slug}` | {cause.meaning} | {cause.remedy} |" for slug, cause in CAUSES.items()]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows

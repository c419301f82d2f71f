"""The rules that the document lists are those that the corpus shows, each with a file that it is named after."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CORPUS = Path(__file__).parent / "corpus/unsafe"


def test_the_document_lists_every_rule() -> None:
    """Each rule that catches something by its name, and no other."""
    shown = {file.name.split(".")[0] for file in CORPUS.glob("*.sql")}
    page = (ROOT / "docs/migrations.md").read_text(encoding="utf-8")
    listed = page[page.index("<!-- rules: begin -->") : page.index("<!-- rules: end -->")]
    assert set(re.findall(r"`([a-z-]+)`", listed)) == shown

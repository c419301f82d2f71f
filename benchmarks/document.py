"""Where a benchmark leaves what it has measured: a section of a document, between two marks of its own."""

from collections.abc import Sequence
from pathlib import Path


def write(path: Path, mark: str, lines: Sequence[str]) -> None:
    """Put a section between its marks, and leave the rest of the file as it is."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    text = path.read_text() if path.exists() else "# Performance\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, rest = text.split(begin, 1)
    path.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{rest.split(end, 1)[1]}"]))

"""A notebook as its author laid it out: an opening, then sections under their headings. What the lint looks at."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops_lib.model.runbook import Runbook
from ops_lib.notebooks.front_matter import source_of
from ops_lib.notebooks.parameters import TAG, tags

IMPORT = "from ops_lib.runbook import *"
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One cell: its number from 1, its kind, its text; `tree` where it is code that can be read."""

    number: int
    kind: str
    text: str
    tags: tuple[str, ...] = ()
    tree: ast.Module | None = field(default=None)

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading; a # in a code fence is none."""
        return [(len(match[1]), match[2]) for match in _HEADING.finditer(_FENCE.sub("", self.text))]

    @property
    def links(self) -> list[str]:
        return _LINK.findall(_FENCE.sub("", self.text))

    @property
    def is_setup(self) -> bool:
        """The import of the words, or the parameters."""
        return TAG in self.tags or self.text.strip() == IMPORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An H2 with the cells below it, its own first."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def code(self) -> list[Block]:
        return [block for block in self.blocks if block.kind == "code"]

    @property
    def prose(self) -> str:
        return "\n".join(block.text for block in self.blocks if block.kind == "markdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A notebook with its contract. `neighbours` are the files that a link may name."""

    path: Path
    notebook: Mapping[str, Any]
    runbook: Runbook
    blocks: tuple[Block, ...]
    neighbours: frozenset[str]

    @property
    def prose(self) -> list[Block]:
        return [block for block in self.blocks if block.kind == "markdown"]

    @property
    def code(self) -> list[Block]:
        """The code of the questions: all but the import and the parameters."""
        return [block for block in self.blocks if block.kind == "code" and not block.is_setup]

    @property
    def sections(self) -> list[Section]:
        """The sections in order. A cell with several H2 counts for its last one."""
        found: list[tuple[str, list[Block]]] = []
        for block in self.blocks:
            titles = [text for level, text in block.headings if level == 2] if block.kind == "markdown" else []
            found.extend((title, []) for title in titles)
            if found:
                found[-1][1].append(block)
        return [Section(title=title, blocks=tuple(blocks)) for title, blocks in found]


def page_of(path: Path, notebook: Mapping[str, Any], runbook: Runbook, neighbours: frozenset[str]) -> Page:
    return Page(path=path, notebook=notebook, runbook=runbook, blocks=tuple(_blocks(notebook)), neighbours=neighbours)


def _blocks(notebook: Mapping[str, Any]) -> Iterator[Block]:
    for number, cell in enumerate(notebook["cells"], start=1):
        text, kind = source_of(cell), str(cell.get("cell_type"))
        tree = _syntax(text) if kind == "code" else None
        yield Block(number=number, kind=kind, text=text, tags=tuple(tags(cell)), tree=tree)


def _syntax(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None

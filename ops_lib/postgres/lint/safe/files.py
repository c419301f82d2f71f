"""Files: pieces put together again, each file with its header, its settings and its place in the order."""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ops_lib.model.lint import SafeFile
from ops_lib.postgres.lint.safe.draft import Draft
from ops_lib.postgres.lint.safe.piece import Mode, Piece

TIMEOUT: Final = "SET lock_timeout = '2s'"
_ALONE: Final = "-- transaction: no"
_ALONE_LINE: Final = re.compile(r"^--\s*transaction:\s*no\s*\n?", re.IGNORECASE | re.MULTILINE)
_LOCAL: Final = re.compile(r"^SET\s+LOCAL\b", re.IGNORECASE | re.MULTILINE)
_STAMPS: Final = {12: ("%Y%m%d%H%M", timedelta(minutes=1)), 14: ("%Y%m%d%H%M%S", timedelta(seconds=1))}
_INDIFFERENT: Final = frozenset({"CommentStmt", "AlterTableStmt", "CreateStmt", "GrantStmt", "IndexStmt"})


@dataclass(slots=True, kw_only=True)
class _Group:
    """The pieces of one file."""

    mode: Mode
    label: str
    pieces: list[Piece] = field(default_factory=list)
    exclusive: frozenset[str] = frozenset()

    def takes(self, piece: Piece) -> bool:
        if piece.mode is Mode.FRESH:
            return False
        same = self.mode is piece.mode or (self.mode is Mode.FRESH and piece.mode is Mode.PLAIN)
        return same and len(self.exclusive | piece.exclusive) <= max(1, len(piece.exclusive), len(self.exclusive))

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.exclusive |= piece.exclusive


def written(draft: Draft, taken: Iterable[str], alarms: Set[str]) -> tuple[SafeFile, ...]:
    """The safe files of a draft, none where they would be no better than the file itself.

    `taken` are names that files have already, `alarms` the rules that raised one: a lock timeout alone makes a file
    safe only where nothing else is wrong with it.
    """
    groups = _grouped(_ordered(draft.pieces))
    same = len(groups) < 2 and not any(piece.changed for piece in draft.pieces)
    if not alarms or (same and alarms != {"no-lock-timeout"}):
        return ()
    names = _names(draft.script.file, [group.label for group in groups], set(taken))
    texts = [_text(draft, group, last=group is groups[-1]) for group in groups]
    return tuple(SafeFile(name=name, text=text) for name, text in zip(names, texts, strict=True))


def _ordered(pieces: Sequence[Piece]) -> list[Piece]:
    """What takes long goes last, where nothing that comes after needs it."""
    kept: list[Piece] = []
    late: list[Piece] = []
    for place, piece in enumerate(pieces):
        (late if _can_wait(piece, pieces[place + 1 :]) else kept).append(piece)
    return kept + late


def _can_wait(piece: Piece, later: Sequence[Piece]) -> bool:
    others = [each for each in later if not each.mentions]
    return piece.mentions is not None and all(
        each.kind in _INDIFFERENT and each.mode is Mode.PLAIN and piece.mentions not in each.text for each in others
    )


def _grouped(pieces: Iterable[Piece]) -> list[_Group]:
    groups: list[_Group] = []
    for piece in pieces:
        if not groups or not groups[-1].takes(piece):
            groups.append(_Group(mode=piece.mode, label=piece.label))
        groups[-1].add(piece)
    return groups


def _text(draft: Draft, group: _Group, *, last: bool) -> str:
    header = _ALONE_LINE.sub("", draft.header.strip() + "\n").strip()
    alone = group.mode is Mode.ALONE
    blocks = ["\n".join(filter(None, [header, _ALONE if alone else ""]))]
    local, lasting = _settings(draft, alone=alone)
    blocks += ["\n".join(f"{each};" for each in lasting)]
    statements = [f"{piece.comment}\n{piece.text};".lstrip() for piece in group.pieces]
    statements += [draft.rest()] if last else []
    bracketed = draft.bracketed and not alone
    blocks += ["BEGIN;"] if bracketed else []
    blocks += [*(f"{each};" for each in local), *statements]
    blocks += ["COMMIT;"] if bracketed else []
    return "\n\n".join(filter(None, blocks)) + "\n"


def _settings(draft: Draft, *, alone: bool) -> tuple[list[str], list[str]]:
    """The settings of a transaction, and those that last.

    A build without a transaction waits for others, whom it does not stop: a lock timeout would only end it.
    """
    bounding = [each for each in draft.settings if "lock_timeout" in each.lower()]
    kept = [each for each in draft.settings if each not in bounding] if alone else draft.settings
    local = [each for each in kept if _LOCAL.search(each)]
    lasting = [each for each in kept if each not in local]
    return ([] if alone else local), lasting if alone or bounding else [TIMEOUT, *lasting]


def _names(file: Path, labels: Sequence[str], taken: set[str]) -> list[str]:
    """The name of the file itself, then the following minutes, each with what is in it.

    >>> _names(Path("202501010959_x.sql"), ["", "index", "rest"], {"202501011000_y.sql"})
    ['202501010959_x.sql', '202501011001_x_index.sql', '202501011002_x_rest.sql']
    >>> _names(Path("V3__x.sql"), ["", "index"], set())
    ['V3__x.sql', 'V3__x_2_index.sql']
    """
    stamp, _, title = file.stem.partition("_")
    form, step = _STAMPS.get(len(stamp), ("", timedelta()))
    try:
        at = datetime.strptime(stamp, form).replace(tzinfo=UTC)
    except ValueError:
        return [file.name, *(f"{file.stem}_{n}_{label}.sql" for n, label in enumerate(labels[1:], start=2))]
    stamps = {name.split("_")[0] for name in taken}
    names = [file.name]
    for label in labels[1:]:
        at += step
        while at.strftime(form) in stamps:
            at += step
        names.append(f"{at.strftime(form)}_{title}_{label}.sql")
    return names

"""Pieces: statements of the safe files, and what each needs around it."""

from dataclasses import dataclass
from enum import Enum, auto


class Mode(Enum):
    """Where a piece may stand."""

    PLAIN = auto()  # in a transaction with its neighbours
    FRESH = auto()  # in a transaction that begins with it
    VALIDATE = auto()  # in a transaction with others of its kind alone
    ALONE = auto()  # outside of any transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One statement. `label` names its file where it opens one; `exclusive` are the tables that it locks out.

    `mentions` is the name that later statements must not need where the piece is to wait until the end of the file.
    """

    text: str
    mode: Mode = Mode.PLAIN
    label: str = "rest"
    comment: str = ""
    kind: str = ""
    exclusive: frozenset[str] = frozenset()
    mentions: str | None = None
    changed: bool = True

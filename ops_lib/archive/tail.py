"""Reading on in the ledger from where one stopped."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from ops_lib.archive.heads import HEAD
from ops_lib.model.checkpoint import Head
from ops_lib.model.ledger import EntryKind, sha256
from ops_lib.model.tombstone import Action
from ops_lib.model.ulid import is_ulid

Form = Mapping[str, str] | None
CHUNK = 1 << 18
_RUN_ID = re.compile(rb"(?<![0-9A-Za-z])[0-7][0-9A-HJKMNP-TV-Z]{25}(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """After a whole line of the ledger, which is known again by its length and digest."""

    end: int = 0
    length: int = 0
    digest: str = ""

    def holds(self, path: Path) -> bool:
        """Whether the ledger still has that line there: it only ever grows, unless somebody changed it."""
        if not self.end:
            return True
        try:
            with path.open("rb") as ledger:
                ledger.seek(self.end - self.length)
                return sha256(ledger.read(self.length)) == self.digest
        except OSError:
            return False

    def behind(self, path: Path) -> int:
        """How many bytes the ledger has beyond it."""
        try:
            return path.stat().st_size - self.end
        except FileNotFoundError:
            return 0


def read_on(path: Path, position: Position, *, most: int = CHUNK) -> tuple[list[bytes], Position]:
    """The whole lines that follow, about `most` bytes of them but at least one, and the position after them.

    Lines that no head covers are left for later, since they may yet be cut off.
    """
    covered = _covered(path)
    try:
        with path.open("rb") as ledger:
            ledger.seek(position.end)
            lines = ledger.readlines(most)
    except FileNotFoundError:
        return [], position
    whole = [*takewhile(lambda line: line.endswith(b"\n") and _seq(line) < covered, lines)]
    if not whole:
        return [], position
    end = position.end + sum(map(len, whole))
    return whole, Position(end=end, length=len(whole[-1]), digest=sha256(whole[-1]))


def _covered(path: Path) -> float:
    """How many entries the head beside a ledger covers; without a limit where there is none that can be read."""
    try:
        return Head.parse((path.parent / HEAD).read_bytes().decode()).checkpoint.size
    except (OSError, ValueError):
        return math.inf


def _seq(line: bytes) -> int:
    """The number of an entry, or one that every head covers: what is wrong with it is for `runbook verify` to say."""
    try:
        return int(json.loads(line)["seq"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return -1


def concerned(lines: Iterable[bytes]) -> dict[str, Form]:
    """The runs that entries other than intents name in any place, and what their folders are or will soon be.

    A form is the digests that files will have, or nothing where the folder will be gone: an entry may come before what
    it speaks of is done.

    >>> concerned([b'{"kind":"result","run_id":"01KDVDNA000000000000000000"}\\n', b"torn"])
    {'01KDVDNA000000000000000000': {}}
    """
    found: dict[str, Form] = {}
    for line in lines:
        entry = _entry(line)
        if entry.get("kind") == EntryKind.TOMBSTONE:
            found[entry["run_id"]] = _form(entry["body"], found.get(entry["run_id"], {}))
        elif entry.get("kind") != EntryKind.INTENT:
            named = (run_id.decode() for run_id in _RUN_ID.findall(line))
            found = {run_id: {} for run_id in named if is_ulid(run_id)} | found
    return found


def _entry(line: bytes) -> dict[str, Any]:
    """An entry, or an empty one where the line holds none: what is wrong with it is for `runbook verify` to say."""
    try:
        entry = json.loads(line)
        if entry["kind"] == EntryKind.TOMBSTONE:
            _form(entry["body"], {entry["run_id"]: ""})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return dict(entry)


def _form(tombstone: Mapping[str, Any], before: Form) -> Form:
    if tombstone["action"] == Action.PRUNE or before is None:
        return None
    return {**before, **{item["path"]: str(item["after"]["sha256"]) for item in tombstone["files"]}}


def identity_of(path: Path) -> int | None:
    """Which file stands under a name now; nothing where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None

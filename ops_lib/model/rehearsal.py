"""Rehearsals: what changes did to a copy, what they locked there, and whether their way back leads back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ops_lib.model.migration import Direction

_STRENGTH = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
             "EXCLUSIVE", "ACCESS EXCLUSIVE")  # fmt: skip


class WayBack(StrEnum):
    """Where the revert of a migration comes from: its own file, our derivation, or nowhere."""

    FILE = "file"
    DERIVED = "derived"
    NONE = "none"


class Verdict(StrEnum):
    """What the audit says of a file."""

    REVERSIBLE = "reversible"
    NO_REVERT = "no-revert"
    REVERT_FAILS = "revert-fails"
    NOT_RESTORED = "not-restored"
    APPLY_FAILS = "apply-fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One part of a schema in two states; `before` is None where it is new, `after` where it is gone."""

    subject: str
    before: str | None
    after: str | None

    def plainly(self) -> str:
        """What changed.

        >>> Change(subject="column raw.games.wind", before=None, after="numeric").plainly()
        'column raw.games.wind (numeric) is new'
        """
        return self._sentence("is new", "is gone")

    def left_behind(self) -> str:
        """What a way back that leads from `before` to `after` did wrong, both of which should be the same.

        >>> Change(subject="column raw.games.wind", before=None, after="numeric").left_behind()
        'column raw.games.wind (numeric) was not dropped'
        """
        return self._sentence("was not dropped", "was not restored")

    def _sentence(self, where_new: str, where_gone: str) -> str:
        if self.before is None:
            return f"{self._named(self.after)} {where_new}"
        if self.after is None:
            return f"{self._named(self.before)} {where_gone}"
        old, new = self.before.splitlines(), self.after.splitlines()
        gone = _one_line(*(line for line in old if line not in new))
        come = _one_line(*(line for line in new if line not in old))
        if gone and come:
            return f"{self.subject} differs: {gone} / {come}"
        return f"{self.subject} lacks {gone}" if gone else f"{self.subject} has {come or 'another order'} besides"

    def _named(self, text: str | None) -> str:
        """Columns are told with their type and privileges with what they are; other things are known by their names."""
        told = text and self.subject.startswith(("column ", "privileges "))
        return f"{self.subject} ({_one_line(text or '')})" if told else self.subject


def _one_line(*lines: str, limit: int = 160) -> str:
    line = " ".join(" ".join(lines).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock on a relation that had been there before, in the words of SQL, such as `ACCESS EXCLUSIVE`."""

    relation: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One statement: where it stands, how long it took, and what it did to the tables that were there before it.

    A lock is told of the first statement of a transaction that took it.
    """

    line: int
    sql: str
    seconds: float
    wal_bytes: int
    locks: tuple[Lock, ...] = ()
    rewrites: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Traced":
        locks = tuple(Lock(**lock) for lock in data["locks"])
        return cls(**{**data, "locks": locks, "rewrites": tuple(data["rewrites"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One migration on the copy.

    `digest` is that of the script that was performed. `verified` is None without a verify file. `restored` is None
    where the way back was not tried, and `difference` says why, or how what it left differs from the schema before.
    `needs` says what a migration without a way back asks for instead. `derived` is the revert that was derived.
    """

    name: str
    version: str
    digest: str
    statements: tuple[Traced, ...]
    revert: WayBack
    revert_seconds: float | None = None
    restored: bool | None = None
    difference: tuple[str, ...] = ()
    verified: bool | None = None
    problem: str | None = None
    derived: str | None = None
    needs: str | None = None

    @property
    def seconds(self) -> float:
        return round(sum(each.seconds for each in self.statements), 6)

    @property
    def wal_bytes(self) -> int:
        return sum(each.wal_bytes for each in self.statements)

    @property
    def locks(self) -> tuple[Lock, ...]:
        """Each once, the strongest first."""
        taken = {lock for each in self.statements for lock in each.locks}
        return tuple(sorted(taken, key=lambda lock: (-_STRENGTH.index(lock.mode), lock.relation)))

    @property
    def rewrites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(relation for each in self.statements for relation in each.rewrites))

    def to_json(self) -> dict[str, Any]:
        """With the sums over its statements, for readers."""
        sums = {
            "seconds": self.seconds,
            "wal_bytes": self.wal_bytes,
            "locks": [asdict(lock) for lock in self.locks],
            "rewrites": list(self.rewrites),
        }
        return {**asdict(self), "revert": self.revert.value, "difference": list(self.difference),
                "statements": [_plain(each) for each in self.statements], **sums}  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rehearsed":
        known = {name: data[name] for name in cls.__slots__}
        statements = tuple(map(Traced.from_json, data["statements"]))
        return cls(**{**known, "statements": statements, "revert": WayBack(data["revert"]),
                      "difference": tuple(data["difference"])})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """All of them in the order of the rehearsal, and the digest of the schema to which they lead.

    `changes` is what they changed, in plain words. `again` is how the schema differed when what had been undone was
    done once more; empty is good.
    """

    direction: Direction
    files: tuple[Rehearsed, ...]
    digest: str
    changes: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"direction": self.direction.value, "files": [each.to_json() for each in self.files],
                "digest": self.digest, "changes": list(self.changes), "again": list(self.again)}  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rehearsal":
        files = tuple(map(Rehearsed.from_json, data["files"]))
        return cls(direction=Direction(data["direction"]), files=files, digest=data["digest"],
                   changes=tuple(data["changes"]), again=tuple(data["again"]))  # fmt: skip


def _plain(traced: Traced) -> dict[str, Any]:
    return {**asdict(traced), "locks": [asdict(lock) for lock in traced.locks], "rewrites": list(traced.rewrites)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One file of a history and what the audit says of it; `detail` is empty where there is nothing to say."""

    file: str
    verdict: Verdict
    detail: str = ""

    def to_json(self) -> dict[str, str]:
        return {"file": self.file, "verdict": self.verdict.value, "detail": self.detail}


def sentences(changes: Sequence[Change], limit: int = 20) -> tuple[str, ...]:
    """What a way back did wrong, each in a sentence; of very many the first, and how many more."""
    told = tuple(change.left_behind() for change in changes[:limit])
    return told if len(changes) <= limit else (*told, f"and {len(changes) - limit} more")

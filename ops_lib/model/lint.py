"""Lint: what a migration would stop, lose or open, told before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops_lib.model.finding import Severity

_SIZES = (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """One thing that a rule noticed. `line` is that of the file, from 1; `lock` is what the statement would take."""

    rule: str
    line: int
    lock: str | None
    subject: str
    severity: Severity
    summary: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "line": self.line,
            "lock": self.lock,
            "subject": self.subject,
            "severity": self.severity.value,
            "summary": self.summary,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeFile:
    """A file that does safely what another one does, or a part of it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """A file, what was noticed in it by line, and the files to use in its place where there is a safe form."""

    file: Path
    findings: tuple[LintFinding, ...]
    safe: tuple[SafeFile, ...] = ()

    @property
    def alarms(self) -> tuple[LintFinding, ...]:
        """The findings above info."""
        return tuple(finding for finding in self.findings if finding.severity is not Severity.INFO)

    def to_json(self) -> dict[str, Any]:
        return {"file": str(self.file), "findings": [finding.to_json() for finding in self.findings]}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableUse:
    """How large a table of a live target is, and who uses it.

    Size and rows are the server's own estimates. `writes` are rows and `reads` are scans a minute, on average since the
    statistics began; nothing where that cannot be known. `applications` hold a lock on the table now. `columns` are
    types by name, `checks` the validated constraints as the server writes them.
    """

    size_bytes: int
    rows: int
    writes: int | None = None
    reads: int | None = None
    applications: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return self.rows == 0 and self.size_bytes == 0

    def __str__(self) -> str:
        """The table in a few words.

        >>> str(TableUse(size_bytes=325_058_560, rows=2_200_000, writes=1200, applications=("etl",)))
        '2.2 million rows, 310 MB, 1,200 writes a minute, in use by etl'
        """
        words = [counted(self.rows, "row")]
        words += [size(self.size_bytes)] if self.size_bytes or not self.rows else []  # not measured yet
        words += [counted(self.writes, "write") + " a minute"] if self.writes else []
        words += [counted(self.reads, "scan") + " a minute"] if self.reads else []
        words += ["in use by " + ", ".join(self.applications)] if self.applications else []
        return ", ".join(words)


def counted(number: int, noun: str) -> str:
    """A number of things, rounded from a million on.

    >>> counted(1, "row"), counted(1200, "write"), counted(2_249_000, "row")
    ('1 row', '1,200 writes', '2.2 million rows')
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number / 1e6:,.1f} million {noun}s" if number >= 1_000_000 else f"{number:,} {noun}s"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number.

    >>> size(325_058_560), size(12)
    ('310 MB', '12 bytes')
    """
    unit, scale = next(((unit, scale) for unit, scale in _SIZES if count >= scale), ("bytes", 1))
    return f"{count // scale} {unit}"

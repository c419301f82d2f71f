"""Findings: what a check noticed, with the rows that prove it, and in which order to act."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters; ordered by `weight`."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to do about a finding: a sentence, and where there is one, SQL or a runbook that does it."""

    text: str
    sql: str | None = None
    runbook: str | None = None
    parameters: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        parameters = dict(self.parameters) if self.parameters is not None else None
        return {"text": self.text, "sql": self.sql, "runbook": self.runbook, "parameters": parameters}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check noticed.

    Every number in `summary` is in `evidence`. `subject` is a schema-qualified name, or one of `database`,
    `cluster`, `setting:NAME`, `query:ID`, `slot:NAME`, `prepared:GID`, `application:NAME`, `disk:PATH`,
    `container:NAME`, `backup:NAME`; a process id is evidence, not identity. `cause` is a slug from docs/causes.md.

    `weight` orders findings of one severity: the share of the database's time that acting would save, from 0 to 1,
    as well as it can be known. `symptoms` are the keys of findings that this one explains.
    """

    check: str
    subject: str
    severity: Severity
    cause: str
    summary: str
    remedy: Remedy
    evidence: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 0.0
    rank: int = 0
    symptoms: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The identity by which findings of two runs are compared, and by which a team silences one."""
        return f"{self.check}:{self.subject}"

    def to_json(self) -> dict[str, Any]:
        """The finding as it stands in a record."""
        return {
            "key": self.key,
            "check": self.check,
            "subject": self.subject,
            "severity": self.severity.value,
            "cause": self.cause,
            "summary": self.summary,
            "evidence": dict(self.evidence),
            "remedy": self.remedy.to_json(),
            "rank": self.rank,
            "symptoms": list(self.symptoms),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, weight: float = 0.0) -> "Finding":
        return cls(
            check=data["check"],
            subject=data["subject"],
            severity=Severity(data["severity"]),
            cause=data["cause"],
            summary=data["summary"],
            remedy=Remedy(**data["remedy"]),
            evidence=data["evidence"],
            weight=weight,
            rank=data["rank"],
            symptoms=tuple(data["symptoms"]),
        )


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which to act: causes before what they explain, then by severity and weight.

    A finding named twice (two cells asked the same) is kept once, as it was seen last. A cause takes the severity of
    the worst symptom that it explains, since acting on it is what ends that symptom.
    """
    latest = {finding.key: finding for finding in findings}
    explained = {key for finding in latest.values() for key in finding.symptoms if key != finding.key}

    def severity(finding: Finding) -> Severity:
        family = [latest[key].severity for key in finding.symptoms if key in latest]
        return max([finding.severity, *family], key=lambda level: level.weight)

    raised = [replace(finding, severity=severity(finding)) for finding in latest.values()]
    raised.sort(key=lambda f: (f.key in explained, -f.severity.weight, -f.weight, f.key))
    return [replace(finding, rank=place) for place, finding in enumerate(raised, start=1)]


def roots(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that no other one explains."""
    explained = {key for finding in findings for key in finding.symptoms if key != finding.key}
    return [finding for finding in findings if finding.key not in explained]


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The highest severity among findings, or nothing where there are none."""
    return max((finding.severity for finding in findings), key=lambda level: level.weight, default=None)

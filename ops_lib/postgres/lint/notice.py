"""Notices: what a rule says about an act, before it is known how large the table is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ops_lib.model.finding import Severity
from ops_lib.model.lint import LintFinding
from ops_lib.postgres.lint.act import Act
from ops_lib.postgres.lint.story import Story

INFO: Final = Severity.INFO
WARNING: Final = Severity.WARNING
CRITICAL: Final = Severity.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What an act would do to `subject`, and what to do in its place.

    `rows` is false where it makes no difference how many rows a table has; `lasting` is true where it matters for a new
    table too, since who may read it does not end with the migration.
    """

    rule: str
    severity: Severity
    subject: str
    effect: str
    remedy: str
    lock: str | None = None
    rows: bool = True
    lasting: bool = False


Rule = Callable[[Act, Story], Iterator[Notice]]


def judged(notice: Notice, line: int, story: Story) -> LintFinding | None:
    """The finding that a notice is: none about a new table, and a harmless one where a table has no rows."""
    new = story.is_new(notice.subject)
    if new and not notice.lasting:
        return None
    harmless = new or (notice.rows and story.is_empty(notice.subject))
    return LintFinding(
        rule=notice.rule,
        line=line,
        lock=notice.lock,
        subject=notice.subject,
        severity=INFO if harmless else notice.severity,
        summary=_summary(notice, story),
        remedy=notice.remedy,
    )


def _summary(notice: Notice, story: Story) -> str:
    use = story.use.get(notice.subject)
    where = f"{notice.subject} ({use})" if use else notice.subject
    return f"{notice.lock} on {where}: {notice.effect}" if notice.lock else f"{where}: {notice.effect}"

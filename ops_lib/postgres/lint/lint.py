"""Linting: the rules, and squawk beside them, over scripts in the order in which they would be applied."""

from collections.abc import Iterator, Mapping, Sequence

from pglast import ast

from ops_lib.model.finding import Severity
from ops_lib.model.lint import Linted, LintFinding, TableUse
from ops_lib.model.migration import Script
from ops_lib.postgres.lint.act import Act, Placed, placed
from ops_lib.postgres.lint.locks import locks
from ops_lib.postgres.lint.notice import judged
from ops_lib.postgres.lint.observing import observe
from ops_lib.postgres.lint.rules import RULES
from ops_lib.postgres.lint.safe import Draft, written
from ops_lib.postgres.lint.squawk import Opinion, opinions
from ops_lib.postgres.lint.story import Story


def lint(scripts: Sequence[Script], *, use: Mapping[str, TableUse] | None = None, runner: bool = False) -> list[Linted]:
    """What each script would do to those who use its tables; what an earlier one makes is new for the later ones.

    `use` is what a live target says about its tables. `runner` is true where our own runner applies the scripts, which
    sets a lock timeout by itself. BadInput, with file and line, where a script is not SQL.
    """
    story = Story(use=use or {}, runner=runner)
    parsed = [placed(script) for script in scripts]
    names = {script.file.name for script in scripts}
    return [
        _linted(script, places, told, story, names)
        for script, places, told in zip(scripts, parsed, opinions(scripts), strict=True)
    ]


def _linted(script: Script, places: Sequence[Placed], told: Sequence[Opinion], story: Story, names: set[str]) -> Linted:
    story.open_file()
    draft = Draft(script=script)
    findings: list[LintFinding] = []
    subjects: dict[int, str] = {}
    for place in places:
        story.enter((story.transaction[0], place.transaction))
        draft.take(place, story)
        for act in place.acts:
            findings += _noticed(act, story)
            subjects |= dict.fromkeys(_lines(place, act), _subject(act, story))
            observe(act, story)
    if script.batches:
        findings = [each for each in findings if each.rule != "unbatched-update"]
    findings += [_from_squawk(each, subjects) for each in told]
    kept = tuple(sorted(dict.fromkeys(findings), key=lambda each: (each.line, -each.severity.weight, each.rule)))
    alarms = {finding.rule for finding in kept if finding.severity is not Severity.INFO}
    return Linted(file=script.file, findings=kept, safe=written(draft, names, alarms))


def _noticed(act: Act, story: Story) -> Iterator[LintFinding]:
    for rule in RULES:
        for notice in rule(act, story):
            story.warned_of_timeout |= notice.rule == "no-lock-timeout"
            if (finding := judged(notice, act.line, story)) is not None:
                yield finding


def _lines(place: Placed, act: Act) -> range:
    last = place.statement.line + place.statement.text.count("\n")
    return range(act.line, last + 1)


def _subject(act: Act, story: Story) -> str:
    """What an act is about, for a linter that tells only lines."""
    own = getattr(act.node, "relation", None)
    if isinstance(own, ast.RangeVar):
        return story.name(own)
    return next((table for table, _ in locks(act, story)), "database")


def _from_squawk(opinion: Opinion, subjects: Mapping[int, str]) -> LintFinding:
    return LintFinding(
        rule=opinion.rule,
        line=opinion.line,
        lock=None,
        subject=subjects.get(opinion.line, "database"),
        severity=opinion.severity,
        summary=opinion.summary,
        remedy=opinion.remedy,
    )

"""How a verdict reads on a terminal, in at most 24 lines, and in a chat or a ticket.

Names come from a database that anybody may have named: nothing in them moves a cursor, or is taken for markup.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from textwrap import wrap
from typing import Any, Final

from ops_lib.model.finding import Severity
from ops_lib.model.result import Result
from ops_lib.model.times import format_seconds
from ops_lib.model.verdict import ENDED, Root, Verdict, plain, verdict_of

Paint = Callable[[str, str], str]
LINES: Final = 24
SQL_LINES: Final = 4
_COLOURS: Final = {"critical": "1;31", "warning": "1;33", "info": "36", "good": "1;32", "quiet": "2", "bold": "1"}


def render_terminal(verdict: Verdict, *, width: int = 80, colour: bool = False, folder: str | None = None) -> list[str]:
    """The verdict in at most 24 lines, ending with where its record is. SQL stands whole, or not at all."""
    width = max(width, 40)
    paint = _painter(colour)
    head = [_top(verdict, width, paint), *_wrapped(verdict.found, width, lines=3, paint=paint, style=verdict.tone)]
    foot = [*_context(verdict, width, paint), ""]
    foot += [f"record  {folder}", f"report  {folder}/report.html"] if folder else []
    return [*head, *_roots(verdict, width, LINES - len(head) - len(foot), paint), *foot]


def render_markdown(record: Mapping[str, Any], results: Iterable[Result] = ()) -> str:
    """The verdict for a chat or a ticket: findings with their SQL, what changed, and where it came from."""
    verdict = verdict_of(record, results)
    on = f" on {_span(verdict.target)}" if verdict.target else ""
    lines = [f"**{_escape(f'{verdict.runbook} {verdict.title}')}**{on}: {_escape(verdict.found)}", ""]
    for number, root in enumerate(verdict.act, start=1):
        lines += _markdown_root(number, root)
    lines += [f"- noted: {_span(root.finding.subject)}: {_escape(root.finding.summary)}" for root in verdict.noted]
    lines += [f"- changed: {_escape(text)}" for text in verdict.changed]
    lines += [f"- not seen: {_escape(text)}" for text in verdict.unseen]
    lines += ["", _provenance(record, verdict)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _painter(colour: bool) -> Paint:
    def paint(text: str, style: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if colour and text else text

    return paint


def _top(verdict: Verdict, width: int, paint: Paint) -> str:
    after = f" after {format_seconds(verdict.seconds)}" if verdict.seconds is not None else ""
    on = f" on {plain(verdict.target)}" if verdict.target else ""
    return paint(_clip(f"{verdict.runbook} {plain(verdict.title)}{on}: {verdict.outcome}{after}", width), "bold")


def _roots(verdict: Verdict, width: int, room: int, paint: Paint) -> list[str]:
    """The findings that fit: as many as possible with their SQL, the others in a line each, and how many are left."""
    found = [*verdict.act, *verdict.noted]
    whole = [_whole(number, root, width, paint) for number, root in enumerate(found, start=1)]
    lean = [_lean(number, root, width, paint) for number, root in enumerate(found, start=1)]
    short = [_title(number, root, width, paint, summary=True) for number, root in enumerate(found, start=1)]
    for kept in range(len(found), 0, -1):
        for form in (whole, lean):
            lines = [line for lines in (whole[0], *form[1:kept]) for line in lines] + short[kept:]
            if len(lines) <= room:
                return lines
    if not found:
        return []
    first = whole[0] if len(whole[0]) < room else short[:1]
    others = short[1:][: room - len(first) - 1]
    return [*first, *others, f"and {len(found) - 1 - len(others)} more in the report"]


def _whole(number: int, root: Root, width: int, paint: Paint) -> list[str]:
    finding = root.finding
    lines = ["", _title(number, root, width, paint), *_wrapped(finding.summary, width, indent=2, lines=3)]
    if root.symptoms:
        lines.append(_clip("  explains " + ", ".join(plain(s.subject) for s in root.symptoms), width))
    if finding.severity is Severity.INFO:
        return lines
    lines += _wrapped(f"Do: {finding.remedy.text}", width, indent=2, lines=2)
    return lines + _sql(finding.remedy.sql, width)


def _lean(number: int, root: Root, width: int, paint: Paint) -> list[str]:
    """A finding in few lines, with its SQL, which is what acting on it takes."""
    summary = _wrapped(root.finding.summary, width, indent=2, lines=2)
    return [_title(number, root, width, paint), *summary, *_sql(root.finding.remedy.sql, width)]


def _title(number: int, root: Root, width: int, paint: Paint, *, summary: bool = False) -> str:
    finding = root.finding
    level, rest = finding.severity.value, f"{plain(finding.subject)}  {plain(finding.cause)}"
    rest = f"{plain(finding.subject)}  {plain(finding.summary)}" if summary else rest
    return f"{number} {paint(level, level)}  {_clip(rest, width - len(level) - 4 - len(str(number)) + 1)}"


def _sql(sql: str | None, width: int) -> list[str]:
    if not sql:
        return []
    lines = [part for line in sql.strip().splitlines() for part in _sql_line(line, width - 4)]
    if len(lines) > SQL_LINES or not all(line.isprintable() and len(line) <= width - 4 for line in lines):
        return ["    (SQL in the report)"]
    return [f"    {line}" for line in lines]


def _sql_line(line: str, width: int) -> list[str]:
    """A line of SQL, broken only where a break means nothing: never within quotes, never in a comment."""
    if len(line) <= width or "--" in line or "$$" in line:
        return [line]
    words = re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", line)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"  {word}")
    return lines


def _context(verdict: Verdict, width: int, paint: Paint) -> list[str]:
    told = [("Changed: ", _together(verdict.changed)), ("Not seen: ", _together(verdict.unseen))]
    room = 2 if len(verdict.act) < 2 else 1  # what to act on has the first claim on the screen
    lines = [line for name, text in told if text for line in _wrapped(name + text, width, lines=room)]
    return ["", *[paint(line, "quiet") for line in lines]] if lines else []


def _together(sentences: Iterable[str]) -> str:
    return "; ".join(sentence.rstrip(".") for sentence in sentences)


def _wrapped(
    text: str, width: int, *, indent: int = 0, lines: int, paint: Paint | None = None, style: str = "bold"
) -> list[str]:
    margin = " " * indent
    found = wrap(plain(text), width, initial_indent=margin, subsequent_indent=margin, max_lines=lines, placeholder=" …")
    return [paint(line, style) for line in found] if paint else found


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _markdown_root(number: int, root: Root) -> list[str]:
    finding = root.finding
    lines = [f"{number}. **{finding.severity}** {_span(finding.subject)} ({finding.cause}): {_escape(finding.summary)}"]
    if root.symptoms:
        lines.append(f"   - explains {', '.join(_span(symptom.subject) for symptom in root.symptoms)}")
    lines.append(f"   - do: {_escape(finding.remedy.text)}")
    if finding.remedy.sql:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", finding.remedy.sql)), default=0))
        sql = finding.remedy.sql.strip().splitlines()
        lines += ["", f"   {fence}sql", *[f"   {line}" for line in sql], f"   {fence}", ""]
    return lines


def _provenance(record: Mapping[str, Any], verdict: Verdict) -> str:
    cause, target = record["cause"], record.get("target") or {}
    parts = [
        f"run {_span(verdict.run_id)} {ENDED[verdict.outcome]}",
        f"asked for by {_escape(cause['kind'])} {_escape(cause['who'])}",
        *[f"{name}: {_escape(record[name])}" for name in ("reason", "ticket") if record.get(name)],
    ]
    return "; ".join([*parts, f"guard: {_escape(target['guard'])}"] if target.get("guard") else parts)


def _escape(text: object) -> str:
    """Text that no Markdown reader takes for markup."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", plain(text))


def _span(text: object) -> str:
    """Text as code, whatever backticks it holds."""
    inside = plain(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", inside)), default=0))
    pad = " " if "`" in inside else ""
    return f"{fence}{pad}{inside}{pad}{fence}"

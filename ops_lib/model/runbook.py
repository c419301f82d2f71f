"""The runbook: a notebook with a contract, and the rules that its front matter keeps."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Final

from ops_lib.model.cron import parse_cron
from ops_lib.model.errors import BadInput, BadRunbook
from ops_lib.model.parameter import Parameter, abridged
from ops_lib.model.target import Hazard
from ops_lib.model.times import parse_duration

WORDS: Final = (
    "approved",
    "attach",
    "backups",
    "check",
    "compare",
    "frame",
    "handoff",
    "migration",
    "note",
    "plan",
    "require",
    "seal",
    "secret",
    "show",
    "snapshot",
    "step",
    "target",
    "verdict",
)
"""What a cell of a runbook may say; `from ops_lib.runbook import *` brings these, and the names in `TYPES`."""

TYPES: Final = ("Literal", "date", "datetime", "timedelta")
"""The types beyond the built-in ones that a parameters cell may name."""

RESERVED: Final = frozenset({*WORDS, "verify"})
"""Words that exist or are to come: no parameter may hide one."""

NEEDS: Final = ("target", "extension", "program")
ID: Final = re.compile(r"[A-Z]{2,5}-[A-Z0-9][A-Z0-9-]*")
_NEED = re.compile(rf"({'|'.join(NEEDS)}):[a-z0-9][a-z0-9_.-]*")
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A notebook with a contract. `path` is where it was read, `sha256` the digest of the file as it was then."""

    id: str
    title: str
    hazard: Hazard
    owner: str
    timeout: timedelta
    cell_timeout: timedelta | None = None
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    schedule: str | None = None
    related: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    path: str = field(default="")
    sha256: str = field(default="")

    @property
    def stem(self) -> str:
        """The file's name without its ending: another name by which the runbook is found."""
        return PurePath(self.path).stem


def runbook_from(
    front_matter: Mapping[str, object], *, parameters: Sequence[Parameter] = (), path: str = "", sha256: str = ""
) -> Runbook:
    """The runbook that a front matter describes; BadRunbook names every key that is missing, unknown or wrong."""
    faults = [_unknown(key) for key in front_matter if key not in _READERS and key != "jupyter"]
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if key not in front_matter:
            faults += [f"{key} is missing: expected {_FORMS[key]}"] if key in _MANDATORY else []
            continue
        try:
            values[key] = read(front_matter[key])
        except ValueError:
            faults.append(f"{key}: expected {_FORMS[key]}, found {abridged(front_matter[key])}")
    if faults:
        raise BadRunbook("front matter: " + "; ".join(faults))
    return Runbook(**values, parameters=tuple(parameters), path=path, sha256=sha256)


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(str(key), _READERS, n=1)
    known = f"did you mean {near[0]}?" if near else "known are " + ", ".join(_READERS)
    return f"{key}: unknown key, {known}"


def _line(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 120 or not value.isprintable():
        raise ValueError
    return value.strip()


def _id(value: object) -> str:
    if not isinstance(value, str) or not ID.fullmatch(value) or len(value) > 60:
        raise ValueError
    return value


def _timeout(value: object) -> timedelta:
    try:
        length = parse_duration(_line(value))
    except BadInput as error:
        raise ValueError from error
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError
    return length


def _schedule(value: object) -> str | None:
    if value is None:
        return None
    return str(parse_cron(_line(value)))


def _need(value: object) -> str:
    if not isinstance(value, str) or not _NEED.fullmatch(value):
        raise ValueError
    return value


def _many(read: Callable[[object], str]) -> Callable[[object], tuple[str, ...]]:
    def items(value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise ValueError
        return tuple(dict.fromkeys(read(item) for item in value))

    return items


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "id": _id,
    "title": _line,
    "hazard": lambda value: Hazard(str(value)),
    "owner": _line,
    "timeout": _timeout,
    "cell_timeout": _timeout,
    "needs": _many(_need),
    "wants": _many(_need),
    "schedule": _schedule,
    "related": _many(_id),
}
_MANDATORY: Final = ("id", "title", "hazard", "owner", "timeout")
_NEEDS_FORM: Final = "a list such as [target:postgres], each " + " or ".join(f"{kind}:NAME" for kind in NEEDS)
_FORMS: Final[Mapping[str, str]] = {
    "id": "capital letters, a hyphen and a name, such as SOP-004 or OPS-SNAPSHOT",
    "title": "one line of text",
    "hazard": " or ".join(Hazard),
    "owner": "one line of text: the team that keeps this runbook",
    "timeout": "a duration such as 90s, 15m or 2h, at most 7d",
    "cell_timeout": "a duration such as 90s: how long any one cell may take",
    "needs": _NEEDS_FORM,
    "wants": _NEEDS_FORM,
    "schedule": 'null, or a cron expression with a time zone such as "0 6 * * 1 Europe/London"',
    "related": "a list of runbook ids such as [SOP-001]",
}

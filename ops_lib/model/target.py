"""Targets: the databases that a run acts on, by name, and how they are reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ops_lib.model.errors import BadInput, BadTarget
from ops_lib.model.window import window_from


class Hazard(StrEnum):
    """What a runbook may do to its target; enforced by the role that it connects as."""

    READ_ONLY = "read-only"
    CHANGES = "changes"
    DESTRUCTIVE = "destructive"


class Guard(StrEnum):
    """What keeps a session from writing: a role without the right, a read-only session, or nothing."""

    ROLE = "role"
    SESSION = "session"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A database as `infrastructure/targets.yaml` describes it, or as a DSN on the command line names it.

    Exactly one of `embedded`, `service` and `dsn` says where it is; none of them holds a password. `password_from` is a
    reference to one, such as `env:PROD_PASSWORD` or `file:/run/secrets/prod`. `direct` leads past a connection pooler.
    `approvals` is how many people have to say yes before a step begins; where it is not given, one on production and
    none elsewhere. `owner` is the role that migrations become, so that what they make belongs to it; `windows` are when
    the target may be changed.
    """

    name: str
    kind: str = "postgres"
    embedded: bool = False
    service: str | None = None
    dsn: str | None = None
    direct: str | None = None
    password_from: str | None = None
    production: bool = False
    approvals: int = 0
    roles: Mapping[Hazard, str] = field(default_factory=dict)
    owner: str | None = None
    windows: tuple[str, ...] = ()
    compose: str | None = None


def target_from(name: str, described: object) -> Target:
    """The target that an entry of targets.yaml describes; BadTarget names the key that is wrong.

    >>> target_from("platform", {"kind": "postgres", "service": "platform"}).service
    'platform'
    """
    if not isinstance(described, Mapping):
        raise BadTarget(f"target {name} is not a mapping", hint="write it as NAME: {kind: postgres, service: NAME}")
    unknown = sorted(set(map(str, described)) - _KEYS.keys())
    if unknown:
        raise BadTarget(f"target {name} has the unknown key {unknown[0]}", hint=f"known are {', '.join(_KEYS)}")
    for key, value in described.items():
        if not isinstance(value, _KEYS[key]):
            raise BadTarget(f"target {name}: {key} is {value!r}", hint=f"expected a {_KEYS[key].__name__}")
    if "approvals" in described and described["approvals"] not in (1, 2):
        raise BadTarget(f"target {name}: approvals is {described['approvals']!r}", hint="expected 1 or 2")
    if sum(bool(described.get(key)) for key in ("embedded", "service", "dsn")) != 1:
        raise BadTarget(f"target {name} must have exactly one of embedded: true, service: NAME and dsn: TEXT")
    return Target(name=name, **{**described, "roles": _roles(name, described.get("roles", {})),
                                "windows": _windows(name, described.get("windows", []))})  # fmt: skip


_KEYS: Mapping[str, type] = {
    "kind": str, "embedded": bool, "service": str, "dsn": str, "direct": str, "password_from": str, "production": bool,
    "approvals": int, "roles": Mapping, "owner": str, "windows": list, "compose": str,
}  # fmt: skip


def _roles(name: str, described: Mapping[str, str]) -> dict[Hazard, str]:
    try:
        return {Hazard(hazard): role for hazard, role in described.items()}
    except ValueError:
        hint = f"expected {', '.join(Hazard)}"
        raise BadTarget(f"target {name} has roles for {', '.join(map(str, described))}", hint=hint) from None


def _windows(name: str, described: list[Any]) -> tuple[str, ...]:
    try:
        return tuple(window_from(str(text)).text for text in described)
    except BadInput as error:
        raise BadTarget(f"target {name}: {error.message}", hint=error.hint) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a session reaches its database: libpq keywords (host, port, dbname, user, service, passfile ...).

    `role` is what the session becomes by SET ROLE where the login itself is somebody else. The password stands apart
    and never in `repr`.
    """

    keywords: Mapping[str, str]
    password: str | None = field(default=None, repr=False)
    role: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the channel between supervisor and kernel only: it holds the password."""
        return {"keywords": dict(self.keywords), "password": self.password, "role": self.role}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Login":
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which database answered: what an approval is bound to and what a record names.

    `system_identifier` is a string of digits (it does not fit a JSON number), or nothing where it may not be read.
    `server_version` is PostgreSQL's number, such as 180006.
    """

    system_identifier: str | None
    database: str
    server_version: int
    user: str
    guard: Guard
    in_recovery: bool
    extensions: Mapping[str, str]
    can_monitor: bool
    can_read_all: bool

"""The desk: everything that an operation needs from outside, handed in as one value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ops_lib.model.errors import BadTarget
from ops_lib.model.journal import Event
from ops_lib.model.people import Person
from ops_lib.model.target import Hazard, Login, Target

if TYPE_CHECKING:
    from ops_lib.archive.keys import Keys
    from ops_lib.notebooks.kernel import Kernel

Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """The listener that does not listen."""


def unheard(warning: str) -> None:
    """What a warning goes to where nobody is told."""


def started(scratch: Path, environment: Mapping[str, str]) -> "Kernel":
    """A kernel that is started for its run."""
    from ops_lib.notebooks.kernel import StartedKernel  # noqa: PLC0415 - heavy, and not needed by every command

    return StartedKernel(scratch, environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Settings and instruments, opened by `wiring`.

    `reach` turns a target into a login for a hazard: it resolves references to secrets and starts the embedded server
    where that is the target. `experiments` gives a server on which databases of our own may be made, or nothing where
    there is none. `scratch` names the short path of a run's private folder for sockets. `environment` is what kernels
    get, and `kernel` is where one comes from.
    `configuration` holds the signing key; each new head of the ledger is copied to the places in `head_copies`, folders
    or `git:` remotes. `people` are those who may sign an approval. `warn` tells the person what went wrong beside the
    matter in hand.
    """

    archive: Path
    runbooks: tuple[Path, ...]
    targets: Mapping[str, Target]
    default_target: str
    who: str
    how_known: str
    clock: Callable[[], datetime]
    randomness: Callable[[int], bytes]
    reach: Callable[[Target, Hazard], Login]
    experiments: Callable[[], Login | None]
    scratch: Callable[[str], Path]
    environment: Mapping[str, str] = field(repr=False)
    configuration: Path
    head_copies: tuple[str, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)
    warn: Callable[[str], None] = unheard
    cwd: Path = field(default_factory=Path)
    kernel: Callable[[Path, Mapping[str, str]], "Kernel"] = started

    @property
    def keys(self) -> "Keys":
        """What the heads of the ledger are signed with."""
        from ops_lib.archive.keys import Keys  # noqa: PLC0415 - heavy, and not needed by every command

        return Keys(self.configuration)

    def target(self, text: str | None) -> Target:
        """The target that a person named: from targets.yaml, or a connection string, or a service."""
        name = self.default_target if text is None else text
        if not name.strip():
            raise BadTarget("the target is empty", hint="name one, or leave --target out for the demonstration")
        if name in self.targets:
            return self.targets[name]
        if "=" in name or "://" in name:
            return Target(name=_short(name), dsn=name)
        known = ", ".join(sorted(self.targets))
        raise BadTarget(
            f"there is no target {name!r}",
            hint=f"known are {known}; or give a connection string such as 'service={name}' or 'host=... dbname=...'",
        )


def _short(dsn: str) -> str:
    """A connection string as a name for people: which database, and where.

    >>> _short("postgresql://ops@db.example:5433/platform?sslmode=require")
    'platform at db.example:5433'
    >>> _short("host=/run/postgresql dbname=bench user=ana"), _short("service=prod")
    ('bench at /run/postgresql', 'service prod')
    """
    if "://" in dsn:
        parts = urlsplit(dsn)
        given = {
            "dbname": parts.path.lstrip("/"),
            "host": parts.netloc.rpartition("@")[2],
            **dict(parse_qsl(parts.query)),
        }
    else:
        given = dict(re.findall(r"(\w+)\s*=\s*'?([^'\s]+)", dsn))
    if "service" in given:
        return f"service {given['service']}"
    port = f":{given['port']}" if "port" in given else ""
    return f"{given.get('dbname') or 'the default database'} at {given.get('host') or 'the default host'}{port}"

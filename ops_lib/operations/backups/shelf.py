"""What it takes to keep backups: where they are, by what they are made, to whom they are encrypted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive.repository import Repository
from ops_lib.model.advance import Advance
from ops_lib.model.errors import BadInput
from ops_lib.operations.desk import Desk

ASSERTIONS = "db/assertions"
Tell = Callable[[Advance], None]


def silent(advance: Advance) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Settings and instruments.

    `drills` is where scratch servers live, and `identity` opens what is encrypted. `assertions` holds `.sql` files that
    every database is asked, and in a folder of its name those for one.
    """

    repository: Repository
    drills: Path
    clock: Callable[[], datetime]
    randomness: Callable[[int], bytes]
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)
    programs: Path | None = None
    recipients: tuple[str, ...] = ()
    identity: Path | None = None
    assertions: Path | None = None
    jobs: int = 2

    def asserted(self, database: str) -> list[Path]:
        """The team's assertions about a database."""
        if self.assertions is None or not self.assertions.is_dir():
            return []
        own = [path for path in self.assertions.iterdir() if path.is_dir() and path.name == database]
        return [path for folder in (self.assertions, *own) for path in sorted(folder.glob("*.sql"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `infrastructure/settings.yaml` says under `backups`.

    >>> settings_from({"to": "/mnt/backups", "recipients": ["age1x"]}).to
    PosixPath('/mnt/backups')
    """

    to: Path | None = None
    programs: Path | None = None
    recipients: tuple[str, ...] = ()
    identity: Path | None = None


def settings_from(described: object) -> Settings:
    """The settings that a mapping describes; BadInput names what is wrong."""
    hint = "write backups: {to: DIR, programs: DIR, recipients: [age1...], identity: FILE}, each where it is needed"
    if not isinstance(described, Mapping) or described.keys() - {"to", "programs", "recipients", "identity"}:
        raise BadInput("the settings of backups are not understood", hint=hint)
    keys: Any = described.get("recipients", [])
    paths = {name: described.get(name) for name in ("to", "programs", "identity")}
    if not isinstance(keys, list) or not all(isinstance(text, str) and text for text in keys):
        raise BadInput("recipients of backups is not a list of keys", hint=hint)
    if wrong := [name for name, value in paths.items() if value is not None and not isinstance(value, str)]:
        raise BadInput(f"{wrong[0]} of backups is not a path", hint=hint)
    return Settings(recipients=tuple(keys), **{name: Path(value) for name, value in paths.items() if value})


def open_shelf(desk: Desk, described: object, *, drills: Path, to: Path | None) -> Shelf:
    """The shelf of a desk: beside the archive, unless `to` or the settings say where else."""
    settings = settings_from(described)
    root = to or settings.to or desk.archive.absolute().parent / "backups"
    return Shelf(
        repository=Repository(root.absolute(), desk.keys, desk.archive),
        drills=drills,
        clock=desk.clock,
        randomness=desk.randomness,
        environment=desk.environment,
        programs=settings.programs,
        recipients=settings.recipients,
        identity=settings.identity,
        assertions=desk.cwd / ASSERTIONS,
    )

"""Settings and policy become opened instruments here, and only here are environment and clock read."""

import os
import pwd
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ops_lib.model.errors import BadTarget, OpsError, TargetUnreachable
from ops_lib.model.run import Cause
from ops_lib.model.target import Hazard, Login, Target, target_from
from ops_lib.operations.desk import Desk

if TYPE_CHECKING:
    from ops_lib.operations.conversation import Conversation
    from ops_lib.operations.demonstrate import Demonstration
    from ops_lib.postgres.server import EmbeddedServer

DEMO = Target(name="demo", embedded=True, roles={Hazard.READ_ONLY: "ops_investigate", Hazard.CHANGES: "ops_migrate"})
TARGETS_FILE = Path("infrastructure/targets.yaml")
_LONGEST_SOCKET_FOLDER = 60


def open_desk(*, archive: Path | None = None, runbooks: Path | None = None) -> Desk:
    """The desk of the person who uses a command in this folder."""
    who, how_known = _who()
    targets = {DEMO.name: DEMO, **read_targets(TARGETS_FILE)}
    return Desk(
        archive=archive or Path(os.environ.get("RUNBOOK_ARCHIVE") or "outputs"),
        runbooks=(runbooks,) if runbooks else runbook_folders(),
        targets=targets,
        default_target=os.environ.get("RUNBOOK_TARGET") or DEMO.name,
        who=who,
        how_known=how_known,
        clock=lambda: datetime.now(UTC),
        randomness=os.urandom,
        reach=reach,
        experiments=experiments,
        scratch=scratch_folder,
        environment=dict(os.environ),
        cwd=Path.cwd(),
    )


def person(desk: Desk) -> Cause:
    """The cause of a run that somebody asked for by hand."""
    return Cause(kind="person", who=desk.who, how_known=desk.how_known)


def _who() -> tuple[str, str]:
    """The local user, and for somebody who became root with sudo, that person."""
    name = _account(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return (f"{behind} (as {name})", "local user through sudo") if behind and name == "root" else (name, "local user")


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def state_folder() -> Path:
    """Where what is no record is kept: the demonstration database, sockets."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "ops-runbooks"


@cache
def standard_folder() -> Path:
    """Where the standard runbooks and the sample platform are: in the package, or in the repository beside it."""
    package = Path(__file__).parent
    return package / "standard" if (package / "standard").is_dir() else package.parent


def runbook_folders() -> tuple[Path, ...]:
    """The team's own runbooks, then the standard ones."""
    folders = (Path("runbooks"), standard_folder() / "runbooks")
    return folders[:1] if folders[0].absolute() == folders[1] else folders


def embedded_server() -> "EmbeddedServer":
    from ops_lib.postgres.server import EmbeddedServer  # noqa: PLC0415

    return EmbeddedServer(state_folder() / "demo")


def demonstration() -> "Demonstration":
    """The story that `runbook demo` plays."""
    from ops_lib.operations.demonstrate import Demonstration  # noqa: PLC0415

    scale = float(os.environ.get("RUNBOOK_DEMO_SCALE") or 1)
    return Demonstration(server=embedded_server(), sql=standard_folder() / "db", scale=scale)


def read_targets(path: Path) -> dict[str, Target]:
    """The targets of a file; none where it is missing."""
    import yaml  # noqa: PLC0415

    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        where = str(getattr(error, "problem_mark", "") or "").strip()
        raise BadTarget(f"{path} cannot be read: {getattr(error, 'problem', None) or error} {where}") from None
    if not isinstance(described or {}, Mapping):
        raise BadTarget(f"{path} is not a mapping of names to targets")
    return {str(name): target_from(str(name), entry) for name, entry in (described or {}).items()}


def reach(target: Target, hazard: Hazard) -> Login:
    """How a run of this hazard logs in to a target; the embedded server is started where that is the target."""
    if target.kind != "postgres":
        raise BadTarget(f"target {target.name} is of kind {target.kind}", hint="this runbook needs kind postgres")
    role = target.roles.get(hazard)
    if target.embedded:
        server = embedded_server()
        if not server.passfile.exists():
            raise TargetUnreachable("there is no demonstration database here yet", hint="make it with: runbook demo")
        server.start()
        return server.login(role or "postgres")
    return Login(keywords=_keywords(target), password=_resolved(target), role=role)


def experiments() -> Login | None:
    """The embedded server as a place for trials; nothing where it cannot be started."""
    server = embedded_server()
    try:
        server.start()
        return server.login(dbname="postgres")
    except OpsError:
        return None


def _keywords(target: Target) -> Mapping[str, str]:
    from ops_lib.postgres.connection import parse_dsn  # noqa: PLC0415

    if target.service:
        return {"service": target.service}
    return parse_dsn(target.dsn or "").keywords


def _resolved(target: Target) -> str | None:
    """The password that a reference names; the reference itself is no secret."""
    if target.password_from is None:
        return None
    kind, _, name = target.password_from.partition(":")
    try:
        sources: dict[str, Callable[[], str]] = {
            "env": lambda: os.environ[name],
            "file": lambda: Path(name).read_text(encoding="utf-8").rstrip("\n"),
        }
        return sources[kind]()
    except KeyError:
        hint = f"set {name}" if kind == "env" else "write env:NAME or file:PATH"
        raise BadTarget(f"target {target.name}: password_from: {target.password_from} gives none", hint=hint) from None
    except OSError as error:
        raise BadTarget(f"target {target.name}: {name} cannot be read: {error.strerror}") from None


def scratch_folder(run_id: str) -> Path:
    """A run's folder for sockets, whose paths may have 107 bytes at the most; recovery finds it by the run's id."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime and len(runtime) < _LONGEST_SOCKET_FOLDER and os.access(runtime, os.W_OK)
    return Path(runtime if usable else "/tmp") / f"runbook-{run_id[-12:].lower()}"  # noqa: S108 - nobody can guess it


@cache
def conversation() -> "Conversation":
    """How the kernel that this is talks to the supervisor of its run, or does without one."""
    from ops_lib.notebooks import channel  # noqa: PLC0415
    from ops_lib.operations.conversation import Supervised, Unsupervised  # noqa: PLC0415

    path = os.environ.get(channel.VARIABLE)
    if path:
        return Supervised(channel.Client(path))
    return Unsupervised(open_desk())

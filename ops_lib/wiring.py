"""Settings and policy become opened instruments here, and only here are environment and clock read."""

import os
import pwd
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops_lib.model.errors import BadInput, BadParameter, BadTarget, OpsError, TargetUnreachable
from ops_lib.model.people import people_from
from ops_lib.model.run import RUN_VARIABLE, Cause
from ops_lib.model.target import Hazard, Login, Target, target_from
from ops_lib.notebooks import likeness
from ops_lib.operations.desk import Desk

if TYPE_CHECKING:
    from ops_lib.notebooks.kernel import Kernel
    from ops_lib.operations.backups.shelf import Shelf
    from ops_lib.operations.conversation import Conversation
    from ops_lib.operations.demonstrate import Demonstration
    from ops_lib.operations.schedule import Filed
    from ops_lib.postgres.server import EmbeddedServer

DEMO = Target(
    name="demo",
    embedded=True,
    roles={Hazard.READ_ONLY: "ops_investigate", Hazard.CHANGES: "ops_migrate"},
    owner="platform_owner",
)
TARGETS_FILE = Path("infrastructure/targets.yaml")
PEOPLE_FILE = Path("infrastructure/people.yaml")
PARAMETER_VARIABLE = "RUNBOOK_PARAMETER_"
SETTINGS_FILE = Path("infrastructure/settings.yaml")
SCHEDULES_FILE = Path("infrastructure/schedules.yaml")
_LONGEST_SOCKET_FOLDER = 60
_KERNELS_THAT_WAIT = 2


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
        kernel=nearest_kernel,
        configuration=configuration_folder(),
        people=people_from(_read_yaml(PEOPLE_FILE, BadInput), str(PEOPLE_FILE)),
        head_copies=_head_copies(read_settings(SETTINGS_FILE)),
        warn=_warn,
        cwd=Path.cwd(),
    )


def person(desk: Desk) -> Cause:
    """The cause of a run that somebody asked for by hand."""
    return Cause(kind="person", who=desk.who, how_known=desk.how_known)


def _who() -> tuple[str, str]:
    """The local user, and for somebody who became root with sudo, that person."""
    name = account()
    behind = os.environ.get("SUDO_USER")
    return (f"{behind} (as {name})", "local user through sudo") if behind and name == "root" else (name, "local user")


def account() -> str:
    """The account that this runs as."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def state_folder() -> Path:
    """Where what is no record is kept: the demonstration database, sockets."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "ops-runbooks"


def configuration_folder() -> Path:
    """Where the signing key is, readable by its user alone."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ops-runbooks"


def _warn(text: str) -> None:
    sys.stderr.write(f"runbook: {text}\n")


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
    return {str(name): target_from(str(name), entry) for name, entry in _read_yaml(path, BadTarget).items()}


def read_parameters(path: Path) -> Mapping[str, Any]:
    """The parameters of a YAML file, each as it is written."""
    from ops_lib.notebooks.given import parse_given  # noqa: PLC0415

    try:
        return parse_given(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except BadParameter as error:
        raise BadParameter(f"{path}: {error.message}", hint=error.hint) from None


def ambient_parameters() -> Mapping[str, str]:
    """What the environment says that parameters are, such as RUNBOOK_PARAMETER_DAYS=30."""
    named = {name: value for name, value in os.environ.items() if name.startswith(PARAMETER_VARIABLE)}
    return {name.removeprefix(PARAMETER_VARIABLE).lower(): value for name, value in named.items()}


def read_settings(path: Path) -> Mapping[str, Any]:
    """The settings of a file; none where it is missing."""
    return _read_yaml(path, BadInput)


def filed_schedules() -> "Filed":
    """The team's schedules; none where the file is missing."""
    from ops_lib.operations.schedule import Filed  # noqa: PLC0415

    return Filed(file=SCHEDULES_FILE, entries=_read_yaml(SCHEDULES_FILE, BadInput))


def own_command() -> Path:
    """The program that this is, for whoever starts it later."""
    return Path(sys.executable).with_name("runbook")


def _read_yaml(path: Path, fault: type[BadInput]) -> Mapping[Any, Any]:
    import yaml  # noqa: PLC0415

    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        where = str(getattr(error, "problem_mark", "") or "").strip()
        raise fault(f"{path} cannot be read: {getattr(error, 'problem', None) or error} {where}") from None
    if not isinstance(described, Mapping):
        raise fault(f"{path} is not a mapping")
    return described


def shelf(archive: Path, to: Path | None = None) -> "Shelf":
    """Where backups are kept, and what it takes to make and to restore them."""
    from ops_lib.operations.backups.shelf import open_shelf  # noqa: PLC0415

    said = read_settings(SETTINGS_FILE).get("backups") or {}
    return open_shelf(open_desk(archive=archive), said, drills=state_folder() / "drills", to=to)


def _head_copies(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Where heads are copied to, from `heads: {copy_to: [DIR, git:REMOTE]}`."""
    heads = settings.get("heads") or {}
    places = heads.get("copy_to", []) if isinstance(heads, Mapping) else None
    listed = isinstance(places, list) and all(isinstance(place, str) and place for place in places)
    if not listed or settings.keys() - {"heads", "backups"} or heads.keys() - {"copy_to"}:
        raise BadInput(
            f"{SETTINGS_FILE} is not understood", hint="write heads: {copy_to: [/mnt/other/heads, 'git:REMOTE']}"
        )
    return tuple(places or ())


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
    """The password of a target, where one is referred to."""
    if target.password_from is None:
        return None
    try:
        return resolve(target.password_from, "password_from")
    except BadInput as error:
        raise BadTarget(f"target {target.name}: {error.message}", hint=error.hint) from None


def resolve(reference: str, where: str) -> str:
    """The secret that `env:NAME` or `file:PATH` names; the reference itself is no secret."""
    kind, _, name = reference.partition(":")
    sources: dict[str, Callable[[], str]] = {
        "env": lambda: os.environ[name],
        "file": lambda: Path(name).read_text(encoding="utf-8").rstrip("\n"),
    }
    try:
        found = sources[kind]()
    except KeyError:
        # What is no reference may be the secret itself, and is not repeated.
        hint = f"set {name}" if kind == "env" else "write env:NAME or file:PATH"
        raise BadInput(f"{where}: {reference if kind == 'env' else 'this'} gives none", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: {name} cannot be read: {error}") from None
    if not found:
        raise BadInput(f"{where}: {reference} is empty", hint="give the secret that it should hold")
    return found


def scratch_folder(run_id: str) -> Path:
    """A run's folder for sockets, whose paths may have 107 bytes at the most; recovery finds it by the run's id."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime and len(runtime) < _LONGEST_SOCKET_FOLDER and os.access(runtime, os.W_OK)
    return Path(runtime if usable else "/tmp") / f"runbook-{run_id[-12:].lower()}"  # noqa: S108 - nobody can guess it


def kernels_address() -> Path:
    """The socket at which kernels wait that could stand in for one that this process starts."""
    return state_folder() / "daemon" / f"{likeness.of_this_process()}.kernels"


def nearest_kernel(scratch: Path, environment: Mapping[str, str]) -> "Kernel":
    """A kernel that waits, or else one that is started."""
    from ops_lib.notebooks.claim import NearestKernel  # noqa: PLC0415
    from ops_lib.notebooks.kernel import StartedKernel  # noqa: PLC0415

    if os.environ.get("RUNBOOK_NO_DAEMON") or RUN_VARIABLE in os.environ:
        return StartedKernel(scratch, environment)
    return NearestKernel(kernels_address(), scratch, environment, variable=RUN_VARIABLE)


def kernels_that_wait() -> int:
    """How many kernels are kept waiting."""
    try:
        return max(0, int(os.environ.get("RUNBOOK_WARM_KERNELS") or _KERNELS_THAT_WAIT))
    except ValueError:
        raise BadInput("RUNBOOK_WARM_KERNELS is not a number", hint="how many kernels wait, such as 2") from None


@cache
def conversation() -> "Conversation":
    """How the kernel that this is talks to the supervisor of its run, or does without one."""
    from ops_lib.notebooks import channel  # noqa: PLC0415
    from ops_lib.operations.conversation import Supervised, Unsupervised  # noqa: PLC0415

    path = os.environ.get(channel.VARIABLE)
    if path:
        return Supervised(channel.Client(path))
    return Unsupervised(open_desk())

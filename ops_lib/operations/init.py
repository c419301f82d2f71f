"""What a team needs to begin: a folder for its own runbooks, a list of its targets, and the roles to connect as."""

from pathlib import Path

from ops_lib.archive.files import write_whole

TARGETS = """\
# The databases that runbooks act on, by name. No passwords here: use ~/.pgpass, a service file (~/.pg_service.conf),
# or a reference such as password_from: env:PLATFORM_PASSWORD or password_from: file:/run/secrets/platform.
#
# platform:
#   kind: postgres
#   service: platform                  # or dsn: "host=db.internal dbname=platform user=ana"
#   production: false
#   approvals: 1                       # people who say yes before a step; production: true demands one, signed with a
#                                      # key of infrastructure/people.yaml: ana: {keys: ["ssh-ed25519 AAAA..."]}
#   roles: {read-only: ops_investigate}   # what a login becomes by SET ROLE; leave it out where it logs in as that

demo: {kind: postgres, embedded: true, roles: {read-only: ops_investigate, changes: ops_migrate}}
"""
SCHEDULES = """\
# What runs when, by name. `runbook tick` runs what is due; `runbook schedule export cron` prints what calls it.
#
# runbook      its id
# when         minute, hour, day, month, day of the week, and the time zone in which they are meant
# target       by name from targets.yaml (default: the one that a run without --target has)
# parameters   as the runbook takes them
# missed       what is caught up of due times that passed: skip, last or all (default: last where the runbook only
#              reads, and otherwise skip); whatever is not caught up is entered in the ledger as missed

snapshot: {runbook: OPS-SNAPSHOT, when: "0 * * * * UTC", missed: last}
# Until the first backup everything can be lost, and then up to 24 h: there is no WAL archive.
backup: {runbook: OPS-BACKUP, when: "30 2 * * * UTC", missed: last}
drill: {runbook: OPS-RESTORE-DRILL, when: "30 4 * * 0 UTC", missed: last}
"""
IGNORED = "# Records, backups and state are kept, but not in git.\n*\n!.gitignore\n"


def init(folder: Path, *, roles: Path) -> list[tuple[Path, bool]]:
    """Make what is missing; the files of a team's own folder, each with whether it was made now."""
    wanted = {
        folder / "infrastructure/targets.yaml": TARGETS.encode(),
        folder / "infrastructure/schedules.yaml": SCHEDULES.encode(),
        folder / "infrastructure/roles.sql": roles.read_bytes(),
        folder / "outputs/.gitignore": IGNORED.encode(),
        folder / "backups/.gitignore": IGNORED.encode(),
        folder / "runbooks/.gitkeep": b"",
    }
    return [(path, _write_missing(path, content)) for path, content in wanted.items()]


def _write_missing(path: Path, content: bytes) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return True

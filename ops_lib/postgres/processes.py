"""The server processes of one cluster, told by their working folder.

Every process of PostgreSQL works in its data folder, so a process id in `postmaster.pid` that a reboot has given to
somebody else is not mistaken for a server, and backends that outlive a killed postmaster are found. Where there is
no /proc, nothing is found and PostgreSQL's own interlock decides.
"""

import os
import signal
import time
from pathlib import Path

from ops_lib.model.errors import OpsError

_PATIENCE = 2.0


def of_cluster(data: Path) -> frozenset[int]:
    """The ids of all processes at work in a data folder, one that has been deleted since included."""
    places = {str(data), f"{data} (deleted)"}
    ids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return frozenset(pid for pid in ids if _working_folder(pid) in places)


def postmaster(data: Path) -> int | None:
    """The id of the living postmaster of a cluster, or nothing."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if _working_folder(pid) == str(data) else None


def end_orphans(data: Path) -> None:
    """Ends the backends that a killed postmaster left.

    To be called by the holder of the cluster's lock, and only while no postmaster lives.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        _send(of_cluster(data), number)
        if _gone(data):
            return
    raise OpsError(f"processes {sorted(of_cluster(data))} of an earlier server do not end", hint=f"they work in {data}")


def _working_folder(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return None


def _send(ids: frozenset[int], number: signal.Signals) -> None:
    for pid in ids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _gone(data: Path) -> bool:
    end = time.monotonic() + _PATIENCE
    while of_cluster(data):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

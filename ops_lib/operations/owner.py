"""Which process supervises a run, in terms that outlive it: its pid, when it started, and in which boot.

A pid alone is given to somebody else one day. The folder's lock is the stronger proof, since the kernel frees it on
death; this one stands where locks are not kept, as on some network file systems, and tells the reader.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> dict[str, Any]:
    """The owner that a journal names; `started` counts the kernel's ticks since the boot."""
    return {"pid": os.getpid(), "boot_id": _boot_id(), "started": started(os.getpid())}


def lives(owner: Mapping[str, Any] | None) -> bool:
    """Whether an owner is certainly another process that runs now; one of another boot, or unknown, is not."""
    if not owner or owner["pid"] == os.getpid() or owner["boot_id"] is None or owner["boot_id"] != _boot_id():
        return False
    return owner["started"] is not None and owner["started"] == started(owner["pid"])


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


def started(pid: int) -> int | None:
    """When a process started; nothing for one that is gone, or dead and not yet reaped."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if state in (b"Z", b"X") else int(rest[18])

"""One changing run per target at a time: a lock file for each, held by the supervisor for as long as it lives."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ops_lib.archive import files
from ops_lib.model.errors import Refused


@contextmanager
def hold(root: Path, target: str, holder: Mapping[str, str]) -> Iterator[None]:
    """Be the only one that changes a target; Refused names who does already, and since when.

    The kernel lets go of the lock when its holder dies, however it dies; what the file then says is out of date, and
    is only read while somebody holds it.
    """
    path = root / "locks" / f"{sha256(target.encode()).hexdigest()[:16]}.lock"
    files.make_folder(path.parent)
    with files.explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, target, holder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, target: str, holder: Mapping[str, str]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{target} is being changed by {_holder(descriptor)}", hint="wait until that run ends") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        held = json.loads(os.pread(descriptor, 4096, 0))
        return f"run {held['run_id']} of {held['runbook']}, asked for by {held['who']}, since {held['since']}"
    except (ValueError, KeyError):
        return "another run"

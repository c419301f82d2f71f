"""One changing run per target at a time: a lock file for each, held by the supervisor for as long as it lives.

Who comes while it is held stands in a queue: places one behind the other, each a lock file too. Whoever is in front
waits for the lock, everybody else for the place before theirs, so that the order is kept, and a place whose holder is
killed is free by itself.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from ops_lib.archive import files
from ops_lib.model.errors import Refused

PLACES = 8
"""How many runs may wait for one target."""

Patience = Callable[[str], bool]
"""Told whom it waits for, waits a little, and says whether to go on waiting."""


def impatient(holder: str) -> bool:
    """Does not wait at all."""
    return False


@contextmanager
def hold(root: Path, target: str, holder: Mapping[str, str], patience: Patience = impatient) -> Iterator[None]:
    """Be the only one that changes a target; Refused names who does already, and since when.

    The kernel lets go of the lock when its holder dies, however it dies; what the file then says is out of date, and
    is only read while somebody holds it.
    """
    path = root / "locks" / f"{sha256(target.encode()).hexdigest()[:16]}.lock"
    files.make_folder(path.parent)
    lock = _opened(path)
    try:
        if not _taken(lock):
            _wait(path, lock, target, patience)
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(lock)


def _wait(path: Path, lock: int, target: str, patience: Patience) -> None:
    """Stand at the end of the queue, and go forward until the lock is ours."""
    if not patience(_holder(lock)):
        raise Refused(f"{target} is being changed by {_holder(lock)}", hint="wait until that run ends")
    places = [_opened(path.with_suffix(f".wait{number}")) for number in range(PLACES)]
    try:
        if not _taken(places[-1]):
            message = f"{target} is being changed by {_holder(lock)}, and {PLACES} runs wait for it"
            raise Refused(message, hint="run it when they are done")
        for before in (*reversed(places[:-1]), lock):
            while not _taken(before):
                if not patience(_holder(lock)):
                    message = f"{target} is still being changed by {_holder(lock)}"
                    raise Refused(message, hint="wait until that run ends")
            os.close(places.pop())
    finally:
        for place in places:
            os.close(place)


def _opened(path: Path) -> int:
    with files.explained(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _taken(lock: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _holder(lock: int) -> str:
    try:
        held = json.loads(os.pread(lock, 4096, 0))
        return f"run {held['run_id']} of {held['runbook']}, asked for by {held['who']}, since {held['since']}"
    except (ValueError, KeyError):
        return "another run"

"""Takes out of a kernel what it waits for at every cell and a run has no use for: a third of the time of a small cell.

A plain kernel flushes its two streams three times a cell, each time waiting for the thread that sends; sleeps half a
millisecond before each reply, lest a client takes the reply for the end of the outputs (ours waits for `idle`, which is
sent after them by the same thread); and makes log records that no handler shows.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any


def quicken(kernel: Any) -> None:
    """Change one kernel; what this version of ipykernel does not have is left as it is."""
    if hasattr(kernel, "_execute_sleep"):
        kernel._execute_sleep = 0.0
    kernel.log.setLevel(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "_flush_pending"):
            stream.flush = partial(_flush, stream, stream.flush)  # type: ignore[method-assign]


def _flush(stream: Any, flush: Callable[[], None]) -> None:
    """Flush where something was written since, or where this is another process than the kernel's own.

    What the thread has already begun to send goes out before whatever this thread says next.
    """
    if stream._flush_pending or os.getpid() != stream._master_pid:
        flush()

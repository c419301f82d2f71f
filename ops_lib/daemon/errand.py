"""What the daemon's forked child does: become the process that the caller would have been, and run the command."""

import array
import atexit
import contextlib
import ctypes
import gc
import io
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ops_lib.daemon import client
from ops_lib.notebooks import keeper
from ops_lib.notebooks.prefork import close_all_but

_REQUEST_SECONDS = 10.0
_FILES = 4
_SWITCH_SECONDS = 0.0005
"""How long the thread that drives the cells waits at most for one that does something beside; 5 ms elsewhere."""

_MADV_POPULATE_WRITE = 23
_LARGEST_MAPPING = 128 << 20


def await_caller(claims: socket.socket, told: int, daemon: int, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Wait for a caller, tell the daemon that there is one, and run its command. Ends the process.

    Until there is one, it ends with the daemon.
    """
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        keeper.die_with(daemon)
        os.setsid()
        close_all_but(claims.fileno(), told)
        if not select.select([claims], [], [], 0)[0]:
            _own_memory()
            select.select([claims], [], [])
        os.write(told, b"t")
        keeper.live_on()
        caller, _ = claims.accept()
        _, account, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if account == os.getuid():
            os.close(told)
            claims.close()
            _perform(caller, main)
    finally:
        os._exit(1)


def _own_memory() -> None:
    """Copy now what is still shared with the daemon, page by page on first use otherwise, while somebody waits.

    Source: madvise(2), MADV_POPULATE_WRITE; where Linux is older than 5.14 nothing happens.
    """
    madvise = ctypes.CDLL(None).madvise
    for mapping in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *_ = mapping.split()
        begin, end = (int(address, 16) for address in place.split("-"))
        if rights == "rw-p" and end - begin < _LARGEST_MAPPING:
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_POPULATE_WRITE)


def _perform(caller: socket.socket, main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run one command for a caller, and tell it the exit code. Ends the process."""
    code = 1
    try:
        arguments, environment, umask = client.unpacked(_received(caller))
        caller.sendall(client.BEGUN)
        _become(arguments, environment, umask)
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.enable()
        threading.Thread(target=_listen, args=(caller,), daemon=True).start()
        atexit._clear()  # what the daemon itself would do at its end
        code = _run(main, arguments)
        with contextlib.suppress(OSError):
            caller.sendall(bytes((code & 0xFF,)))
        atexit._run_exitfuncs()  # the caller does not wait for what a command leaves for its end
    finally:
        os._exit(code)


def _received(caller: socket.socket) -> bytes:
    """The request; the caller's files become ours, and its folder our own."""
    caller.settimeout(_REQUEST_SECONDS)
    files = array.array("i")
    head, extra, _, _ = caller.recvmsg(8, socket.CMSG_SPACE(_FILES * files.itemsize))
    for _, _, content in extra:
        files.frombytes(content[: len(content) - len(content) % files.itemsize])
    request = _exactly(caller, int.from_bytes(head, "big"))
    caller.settimeout(None)
    os.fchdir(files[3])
    for standard in (0, 1, 2):
        os.dup2(files[standard], standard)
    for file in files:
        os.close(file)
    return request


def _exactly(caller: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = caller.recv(size - len(content))
        if not more:
            raise OSError("the caller has gone")
        content += more
    return content


def _become(arguments: Sequence[str], environment: Mapping[str, str], umask: int) -> None:
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv[:] = ["runbook", *arguments]
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding=sys.stdin.encoding)
    sys.stdout = _writer(1, sys.stdout)
    sys.stderr = _writer(2, sys.stderr)


def _writer(number: int, like: Any) -> io.TextIOWrapper:
    """A stream as Python makes it at its start: by lines on a terminal and for errors."""
    raw = io.FileIO(number, "w", closefd=False)
    by_line = number == 2 or os.isatty(number)
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding=like.encoding, errors=like.errors, line_buffering=by_line)


def _run(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """What the interpreter makes of a command's end."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def _listen(caller: socket.socket) -> None:
    """Pass on the caller's signals to ourselves. One that vanished without a word hangs up, and does not wait."""
    main = threading.main_thread().ident or 0  # a signal to the process may go to this thread, and wake nobody
    while True:
        try:
            said = caller.recv(1)
        except OSError:
            said = b""
        for number in said or (signal.SIGHUP, signal.SIGTERM):
            signal.pthread_kill(main, number)
        if not said:
            return

"""A kernel that is forked from a process which has imported what runbooks use, and waits until a run claims it.

Everything that a fresh kernel would have read while it started is either the same (`likeness.key`), or is put right
when it is claimed: folder, environment, umask, argument list, random numbers, matplotlib's backend. What stays
different: `hash("text")` is the same in all kernels of one fork server, where fresh ones differ from each other.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from ops_lib.notebooks.guise import Guise
from ops_lib.notebooks.keeper import die_with
from ops_lib.notebooks.kernel import ARGUMENTS, connection, write_connection

MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger", "ipykernel.iostream",
    "ipykernel.displayhook", "IPython.core.displaypub", "IPython.core.completerlib", "pandas", "pandas.io.sql",
    "pandas.io.formats.html", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "sqlalchemy",
    "sqlalchemy.dialects.postgresql.psycopg", "psycopg", "psycopg.rows", "pglast", "ops_lib.notebooks.floodgate",
    "ops_lib.runbook", "ops_lib.notebooks.display", "ops_lib.notebooks.channel", "ops_lib.postgres.session",
    "ipykernel_launcher", "IPython.core.debugger", "IPython.core.logger", "IPython.core.oinspect",
    "IPython.core.pylabtools", "IPython.extensions.storemagic", "tornado.platform.asyncio",
    "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin", "PIL.PngImagePlugin",
)  # fmt: skip
"""What is imported ahead. Not `matplotlib_inline.backend_inline`: imported before there is a shell it draws nothing."""

SOCKETS = "warm"
"""The folder in a run's own to which the sockets of a kernel move that is claimed for it."""

INLINE = "module://matplotlib_inline.backend_inline"


def load() -> None:
    """Import what runbooks use, as far as it is installed, and keep the garbage collector from touching it."""
    gc.disable()
    for name in MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    if "matplotlib" in sys.modules:  # which reads what every distribution offers when its backend is first named
        sys.modules["matplotlib"].rcParams["backend"] = INLINE
    _read_arguments()
    gc.collect()
    gc.freeze()


def _read_arguments() -> None:
    """Let the kernels' common application read their arguments, a tenth of all that it does before it is ready."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - not by who only starts a kernel

    IPKernelApp.instance().parse_command_line(["-f", "none yet", *ARGUMENTS])


def become_kernel(keeper: int, wishes: socket.socket, folder: Path, guise: Guise) -> NoReturn:
    """Turn this forked process into a kernel: initialise, say so, wait for a wish, and serve it. Ends the process."""
    try:
        die_with(keeper)
        guise.command(f"{sys.executable} runbook kernel that waits")
        before = dict(os.environ)
        _like_a_fresh_one()
        app = _initialised(folder)
        wishes.sendall(b"ready\n")
        wish = json.loads(wishes.makefile("rb").readline() or b"null")
        if wish is None:
            os._exit(0)
        guise.value(wish["environment"].get(wish["variable"], ""))
        connected = _moved(app, Path(wish["scratch"], SOCKETS))
        guise.command(f"{sys.executable} -m ipykernel_launcher -f {app.connection_file}")
        reason = _personal(app) or _put_right(app, wish, before)
        wishes.sendall(json.dumps({"refused": reason, "connection": connected}).encode() + b"\n")
        wishes.close()
        app.start()
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
        os._exit(0)


def _like_a_fresh_one() -> None:
    """Undo what all forks would share."""
    for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    gc.enable()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _initialised(folder: Path) -> Any:
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - imported by `load`; not by who only starts a kernel

    file = str(write_connection(folder))
    sys.argv[:] = [importlib.import_module("ipykernel_launcher").__file__ or "", "-f", file, *ARGUMENTS]
    app: Any = IPKernelApp.instance()
    app.parse_command_line = lambda _: None
    for config in (app.config, app.cli_config):
        config.IPKernelApp.connection_file = file
    app.connection_file, app.argv = file, sys.argv[1:]
    app.initialize(sys.argv[1:])
    app.shell.run_cell("None", silent=True)  # what the first cell would else wait for: pages that all forks share
    app.shell.display_formatter.format(0)
    return app


def _moved(app: Any, place: Path) -> Mapping[str, Any]:
    """How to connect to the kernel where its sockets are now; the kernel itself says the same."""
    said = {**connection(place), "ip": str(place / "kernel")}
    app.connection_file = sys.argv[2] = str(place / "connection.json")
    app.ip = said["ip"]
    Path(app.connection_file).write_text(json.dumps(said), encoding="utf-8")
    return said


def _personal(app: Any) -> str | None:
    """What somebody has set for their own kernels, which would have been executed in the folder of the run."""
    startup = Path(app.profile_dir.startup_dir)
    if os.environ.get("PYTHONSTARTUP") or app.loaded_config_files or any(startup.glob("*.*py")):
        return "IPython is configured"
    return None


def _put_right(app: Any, wish: Mapping[str, Any], before: Mapping[str, str]) -> str | None:
    """Folder, environment and umask as the run has them; why not, where that cannot be done."""
    try:
        os.chdir(wish["folder"])
    except OSError as error:
        return str(error)
    os.umask(wish["umask"])
    ours = {name: value for name, value in os.environ.items() if before.get(name) != value}
    given = wish["environment"]
    os.environ.clear()
    os.environ.update({**given, **ours, "JPY_PARENT_PID": str(os.getppid())})
    backend = os.environ["MPLBACKEND"] = given.get("MPLBACKEND") or INLINE
    if "matplotlib" in sys.modules and backend != INLINE:
        sys.modules["matplotlib"].rcParams["backend"] = backend
    time.tzset()
    app.shell.starting_dir = os.getcwd()  # noqa: PTH109 - IPython keeps it as text
    app.shell.user_ns["_dh"][:] = [Path.cwd()]
    return None

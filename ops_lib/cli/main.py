"""The command `runbook`. Nothing heavy is imported before a command is known to need it."""

import os
import sys
from collections.abc import Sequence

from ops_lib.daemon import client

_DID_NOT_RUN = (2, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command. A run is handed to the daemon where there is one, which is started otherwise."""
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if not client.wanted(given, os.environ):
        return here(given)
    code = client.hand_over(given, os.environ)
    if code is not None:
        return code
    code = here(given)
    if code not in _DID_NOT_RUN:
        client.start(os.environ)
    return code


def here(arguments: Sequence[str]) -> int:
    """The exit code of one command in this process; an error that this project knows gets one line."""
    from ops_lib.cli.arguments import parser  # noqa: PLC0415 - nor argparse, where the daemon does the work
    from ops_lib.model.errors import OpsError  # noqa: PLC0415

    given = parser(next(iter(arguments), None)).parse_args(arguments)
    if getattr(given, "no_daemon", False):
        os.environ[client.FORBIDDEN] = "1"
    if given.command == "daemon" and given.action == client.SERVE:
        return _serve()
    from ops_lib.cli import render  # noqa: PLC0415
    from ops_lib.cli.commands import COMMANDS  # noqa: PLC0415

    try:
        code = COMMANDS[given.command](given)
        sys.stdout.flush()
    except OpsError as error:
        render.fault(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        render.close_pipe()
        return 1
    except OSError as error:
        render.fault(OpsError(f"the system refused: {error}", hint="see that the disk has room and may be written"))
        return OpsError.exit_code
    return code


def _serve() -> int:
    """Be the daemon. What is imported here is there for every run to come."""
    from ops_lib.daemon.server import take_lock  # noqa: PLC0415

    address = client.address(os.environ)
    lock = take_lock(address)
    if lock is None:
        return 0
    from ops_lib.cli import arguments, commands, desk, progress, render  # noqa: F401, PLC0415
    from ops_lib.daemon.preload import preload  # noqa: PLC0415

    arguments.parser("run")
    return preload(here, address, lock).serve()


if __name__ == "__main__":
    sys.exit(main())

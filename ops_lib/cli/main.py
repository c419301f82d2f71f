"""The command `runbook`. Nothing heavy is imported before a command is known to need it."""

import sys
from collections.abc import Sequence

from ops_lib.cli.arguments import parser
from ops_lib.model.errors import OpsError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command; an error that this project knows gets one line."""
    given = parser().parse_args(arguments)
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


if __name__ == "__main__":
    sys.exit(main())

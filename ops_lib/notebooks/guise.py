"""What others read of this process in /proc: its environment and its command line, rewritten in place.

/proc shows both as they were when the program started. A process that was forked without a new program would go by
those of its ancestor, and nobody could find it by the run that it belongs to. The memory behind them belongs to the
process, so a value can be replaced by one of the same length, and a command line by one that is not longer.
"""

import ctypes
from pathlib import Path

_C = ctypes.CDLL(None)
_C.getenv.restype = ctypes.c_void_p
_C.getenv.argtypes = [ctypes.c_char_p]
_ARGUMENTS_BEGIN, _ARGUMENTS_END = 45, 46
"""Places in /proc/self/stat, counted from the field after the name."""


class Guise:
    """Made once while the program starts, before anything sets a variable; forked children use it as it is."""

    def __init__(self, variable: str) -> None:
        self._value = _C.getenv(variable.encode())
        self._room = len(ctypes.string_at(self._value)) if self._value else 0
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        self._begin = int(fields[_ARGUMENTS_BEGIN])
        self._length = int(fields[_ARGUMENTS_END]) - self._begin

    def value(self, value: str) -> None:
        """Show this value of the variable; one of another length is not shown."""
        content = value.encode()
        if self._value and len(content) == self._room:
            ctypes.memmove(self._value, content, len(content))

    def no_value(self) -> None:
        """Show none of anybody's."""
        self.value("-" * self._room)

    def command(self, command: str) -> None:
        """Show this command line, as much of it as there is room for."""
        if self._length > 1:
            content = command.encode()[: self._length - 1]
            ctypes.memmove(self._begin, content.ljust(self._length, b"\0"), self._length)

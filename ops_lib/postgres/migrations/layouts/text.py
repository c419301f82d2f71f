"""What the layouts have in common: files as text, names as words, and parts of a file with the line they begin on."""

from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Script


def read(file: Path) -> str:
    """The text of a file, with line ends as `\\n` and without a byte order mark."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from None


def words(name: str) -> str:
    """A description as people read it.

    >>> words("add_weather_indices")
    'add weather indices'
    """
    return name.replace("_", " ")


def asks_for_something(text: str) -> bool:
    """Whether there is a line that is neither empty nor a comment; what generators leave behind has none.

    >>> asks_for_something("-- This file should undo anything in `up.sql`\\n"), asks_for_something("-- a\\nSELECT 1")
    (False, True)
    """
    lines = (line.strip() for line in text.splitlines())
    return any(line and not line.startswith("--") for line in lines)


def way_back(script: Script) -> Script | None:
    """A script that reverts, and nothing where it is empty: a section that a tool demands is not yet a way back."""
    return script if asks_for_something(script.text) else None


def section(file: Path, lines: list[str], begin: int, end: int, *, transaction: bool) -> Script:
    """The lines `begin` to `end` of a file, counted from 0, the last one not included."""
    return Script(file=file, text="".join(lines[begin:end]), first_line=begin + 1, transaction=transaction)

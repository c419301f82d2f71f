"""Diesel: a folder for each migration, with `up.sql`, `down.sql` and, seldom, `metadata.toml`.

The version is what stands before the first `_`, without its dashes.
"""

import tomllib
from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import text


def read(folder: Path) -> Folder:
    """All migrations of a folder that diesel keeps."""
    inner = [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
    migrations = sorted((_migration(each) for each in inner), key=lambda each: (each.version, each.name))
    return Folder(path=folder, layout=Layout.DIESEL, migrations=tuple(migrations))


def _migration(folder: Path) -> Migration:
    up, down = folder / "up.sql", folder / "down.sql"
    if not up.is_file():
        raise BadInput(f"{folder} holds no up.sql", hint="a folder of migrations holds nothing else, as diesel has it")
    version, _, description = folder.name.partition("_")
    return Migration(
        version=version.replace("-", ""),
        description=text.words(description),
        up=script(up),
        down=text.way_back(script(down)) if down.is_file() else None,
    )


def script(file: Path) -> Script:
    """A file with what is said of its folder."""
    return Script(file=file, text=text.read(file), transaction=_in_transaction(file.with_name("metadata.toml")))


def _in_transaction(file: Path) -> bool:
    if not file.is_file():
        return True
    try:
        said = tomllib.loads(text.read(file)).get("run_in_transaction", True)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{file} is not TOML: {error}") from None
    if not isinstance(said, bool):
        raise BadInput(f"{file}: run_in_transaction is true or false, not {said!r}")
    return said

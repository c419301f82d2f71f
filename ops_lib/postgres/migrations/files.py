"""Files: which layout a folder has, told from what lies there, and all that it asks for."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ops_lib.model.errors import BadInput
from ops_lib.model.migration import Folder, Layout, Migration, Script
from ops_lib.postgres.migrations.layouts import alembic, dbmate, diesel, flyway, goose, plain, text

_READERS = {
    Layout.PLAIN: plain.read,
    Layout.DIESEL: diesel.read,
    Layout.DBMATE: dbmate.read,
    Layout.GOOSE: goose.read,
    Layout.FLYWAY: flyway.read,
}
_SCRIPTS: dict[Layout, Callable[[Path], Script]] = {
    Layout.PLAIN: lambda file: plain.script(file)[1],
    Layout.DIESEL: diesel.script,
    Layout.DBMATE: lambda file: dbmate.scripts(file)[0],
    Layout.GOOSE: lambda file: goose.scripts(file)[0],
    Layout.FLYWAY: flyway.script,
}
_DIESEL = frozenset({"up.sql", "down.sql"})
_KNOWN = "plain files YYYYMMDDHHMM_description.sql, diesel, dbmate, goose, flyway and alembic are understood"


def read(path: Path) -> Folder:
    """All migrations of a folder, in the order in which they are applied.

    Understood are the folder of the files, one that holds them in `migrations` (then with the functions and views
    beside that, which are repeated), and one with an alembic.ini, or that file. BadInput where it is none or two of
    the layouts, or where two files have one version.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist", hint="name the folder of the migrations")
    if (path / alembic.INI).is_file() or path.name == alembic.INI:
        return _checked(alembic.read(path))
    inner = path / "migrations"
    folder = inner if inner.is_dir() else path
    if not folder.is_dir():
        raise BadInput(f"{path} is not a folder", hint="name the folder of the migrations, or an alembic.ini")
    found = _READERS[_layout(folder)](folder)
    if found.layout is Layout.PLAIN and folder is inner:
        found = replace(found, migrations=found.migrations + plain.repeated(path))
    return _checked(replace(found, path=path) if found.layout is Layout.PLAIN else found)


def script(file: Path) -> Script:
    """What one file applies, read as its layout has it; one that is named in no known way is plain SQL."""
    if not file.is_file():
        raise BadInput(f"{file} is not a file", hint="name a file of SQL")
    return _SCRIPTS[_sign(file)](file)


def _layout(folder: Path) -> Layout:
    signs: dict[Layout, Path] = {}
    for file in sorted(chain(folder.rglob("[!.]*.sql"), folder.glob("[0-9]*_*.go"))):
        if file.parent == folder or file.name in _DIESEL or flyway.NAME.fullmatch(file.name):
            signs.setdefault(_sign(file), file)
    if not signs:
        raise BadInput(f"{folder} holds no migrations", hint=_KNOWN)
    if len(signs) > 1:
        kinds = " and ".join(f"{layout} ({file.relative_to(folder)})" for layout, file in signs.items())
        raise BadInput(f"{folder} has more than one layout: {kinds}", hint="keep each in a folder of its own")
    return next(iter(signs))


def _sign(file: Path) -> Layout:
    """Whose habit a file follows; what has no mark of a tool is plain, or not named as it should be."""
    if file.name in _DIESEL:
        return Layout.DIESEL
    if flyway.NAME.fullmatch(file.name):
        return Layout.FLYWAY
    if file.suffix == ".go":
        return Layout.GOOSE
    lines = text.read(file).splitlines()
    if any(goose.MARK.fullmatch(line) for line in lines):
        return Layout.GOOSE
    return Layout.DBMATE if any(dbmate.MARK.fullmatch(line) for line in lines) else Layout.PLAIN


def _checked(folder: Folder) -> Folder:
    """The folder, if no two of its files have one version."""
    same: dict[object, list[Migration]] = defaultdict(list)
    for each in folder.migrations:
        versioned = folder.layout is Layout.FLYWAY and not each.repeated
        same[flyway.place(each.version) if versioned else each.version].append(each)
    for first, *others in same.values():
        if others:
            message = f"two migrations have the version {first.version}: {first.name} and {others[0].name}"
            raise BadInput(message, hint="give one of them a later one")
    return folder

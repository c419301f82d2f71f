"""Password files in libpq's form: ours, 0600, with one random password for each role of the embedded server; theirs."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops_lib.model.target import Login

_ANYWHERE = "*:*:*"
_IN_SERVICE = re.compile(r"^\s*password\s*=\s*(.+?)\s*$", re.MULTILINE)


def password(file: Path, role: str) -> str | None:
    """The password of a role, or nothing where it has none yet."""
    return _entries(file).get(role)


def ensure(file: Path, role: str) -> str:
    """The password of a role, made and kept on first use. Callers hold the cluster's lock."""
    entries = _entries(file)
    if role not in entries:
        entries[role] = secrets.token_urlsafe(24)
        _write(file, entries)
    return entries[role]


def known_passwords(login: Login, environment: Mapping[str, str]) -> set[str]:
    """Every password that libpq could find for a login in its password and service files, whoever it is for."""
    home = Path(environment.get("HOME", "/nonexistent"))
    passfile = login.keywords.get("passfile") or environment.get("PGPASSFILE") or home / ".pgpass"
    services = [home / ".pg_service.conf", Path(environment.get("PGSYSCONFDIR", "/etc")) / "pg_service.conf"]
    services += [Path(environment["PGSERVICEFILE"])] if "PGSERVICEFILE" in environment else []
    found = {password for line in _text(Path(passfile)).splitlines() for password in _password_of(line)}
    return found | {password for file in services for password in _IN_SERVICE.findall(_text(file))}


def _password_of(line: str) -> Iterator[str]:
    """The fifth field of a line, with what a backslash protects.

    >>> list(_password_of(r"db:5432:*:ana:pa\\:ss"))
    ['pa:ss']
    """
    fields = [] if line.startswith("#") else re.split(r"(?<!\\):", line, maxsplit=4)
    yield from (re.sub(r"\\(.)", r"\1", password) for password in fields[4:])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entries(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    fields = (line.removeprefix(f"{_ANYWHERE}:").partition(":") for line in lines if line.startswith(_ANYWHERE))
    return {role: word for role, _, word in fields}


def _write(file: Path, entries: dict[str, str]) -> None:
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    with draft.open("w", encoding="utf-8") as out:
        out.writelines(f"{_ANYWHERE}:{role}:{word}\n" for role, word in entries.items())
        os.fsync(out.fileno())
    draft.replace(file)

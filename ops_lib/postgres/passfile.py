"""A password file in libpq's form, 0600: one random password for each role of the embedded server."""

import os
import secrets
from pathlib import Path

_ANYWHERE = "*:*:*"


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

"""Encryption at rest in the format of age, to recipients that are configured; the cipher is never our own.

A recipient is an `age1...` or an SSH public key. Who restores names the file of the identity that belongs to one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadInput, OpsError

SUFFIX = ".age"


def recipients(keys: Sequence[str]) -> list[Any]:
    """The recipients that these keys name."""
    import pyrage  # noqa: PLC0415 - not needed where nothing is encrypted

    try:
        return [
            (pyrage.x25519 if key.startswith("age1") else pyrage.ssh).Recipient.from_str(key.strip()) for key in keys
        ]
    except pyrage.RecipientError as error:
        hint = "give keys as age-keygen prints them (age1...), or SSH public keys"
        raise BadInput(f"a recipient of backups is not a key: {error}", hint=hint) from None


def identities(file: Path | None) -> list[Any]:
    """The identities of a file that age-keygen has made, or of an SSH private key."""
    import pyrage  # noqa: PLC0415

    if file is None:
        hint = "name the file of the identity: identity: FILE under backups in settings.yaml, or identity=FILE"
        raise BadInput("the backup is encrypted", hint=hint)
    try:
        text = file.read_text(encoding="utf-8")
        lines = [line.strip() for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines]
        return found or [pyrage.ssh.Identity.from_buffer(text.encode())]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        hint = "give the file that age-keygen has made"
        raise BadInput(f"{file} is not a readable identity: {error}", hint=hint) from None


def encrypt(path: Path, to: Sequence[Any]) -> Path:
    """Put an encrypted file in the place of a plain one."""
    import pyrage  # noqa: PLC0415

    sealed = path.with_name(path.name + SUFFIX)
    with path.open("rb") as plain, sealed.open("xb") as file:
        pyrage.encrypt_io(plain, file, to)
    path.unlink()
    return sealed


def decrypt(sealed: Path, plain: Path, by: Sequence[Any]) -> None:
    """Write what an encrypted file holds; OpsError where it was altered or is for somebody else."""
    import pyrage  # noqa: PLC0415

    try:
        with sealed.open("rb") as file, plain.open("xb") as out:
            pyrage.decrypt_io(file, out, by)
    except (pyrage.DecryptError, OSError) as error:
        hint = "the identity must belong to one of the recipients that the manifest names"
        raise OpsError(f"{sealed.name} cannot be decrypted: {error}", hint=hint) from None

"""The key that signs the heads of ledgers, and what it signed last.

It is made on first use in the configuration folder of its user, outside every archive, and never leaves it. The
public half, a line of `key.vkey`, is kept in the archive as well, where it proves nothing against somebody who can
rewrite archive and key file both: who wants to rely on it takes a copy elsewhere.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ops_lib.archive import files
from ops_lib.model.checkpoint import Checkpoint, Head, Signature, VerifierKey, decode, encode
from ops_lib.model.errors import ArchiveUnwritable, BadInput, DoesNotVerify
from ops_lib.model.ledger import sha256

PRIVATE = "ledger.key"
_HINT = "the signing key is kept there; say where it may be with XDG_CONFIG_HOME"


class Keys:
    """The signing key of this user, in a folder that only the user can read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: Ed25519PrivateKey | None = None

    def prepare(self) -> None:
        """Make the key where there is none."""
        self._private()

    def sign(self, checkpoint: Checkpoint) -> Head:
        """A head with this user's signature. Whether it may be signed is for the caller to know."""
        key = self._key_of(checkpoint.origin)
        value = self._private().sign(checkpoint.body().encode())
        return Head(checkpoint=checkpoint, signatures=(Signature(name=key.name, key_id=key.key_id, value=value),))

    def sign_text(self, name: str, content: bytes) -> str:
        """A signature of any content, with the public key that it can be checked with under a name of its own."""
        return f"{self._key_of(name).text()}\n{encode(self._private().sign(content))}\n"

    def own(self, origin: str) -> VerifierKey | None:
        """The public key under the name of a ledger; nothing where no key was made yet."""
        return self._key_of(origin) if (self.folder / PRIVATE).exists() else None

    def last_signed(self, archive: Path) -> Head | None:
        """The head that was signed last for an archive at this place, as far as is remembered here."""
        try:
            return Head.parse(self._memory(archive).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def remember(self, archive: Path, head: Head) -> None:
        """Keep in mind what was signed. An older memory is true as well, so that failing to do it fails nothing."""
        path = self._memory(archive)
        with suppress(ArchiveUnwritable):
            files.make_folder(path.parent, mode=0o700)
            files.write_whole(path, head.text().encode(), mode=0o600, durable=False)

    def _key_of(self, origin: str) -> VerifierKey:
        return VerifierKey(name=origin, public=self._private().public_key().public_bytes_raw())

    def _private(self) -> Ed25519PrivateKey:
        if self._read is None:
            self._read = self._read_private()
        return self._read

    def _read_private(self) -> Ed25519PrivateKey:
        path = self.folder / PRIVATE
        try:
            if not path.exists():
                self._make(path)
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ArchiveUnwritable(f"cannot read the signing key {path}: {error.strerror}", hint=_HINT) from None
        except ValueError as error:
            raise DoesNotVerify(f"the signing key {path} cannot be read: {error}", hint=_HINT) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise DoesNotVerify(f"{path} is not an Ed25519 key", hint="move it away; the next run makes a new one")
        return key

    def _make(self, path: Path) -> None:
        """Make the key, once, whole, and for its user only; of two processes at once one makes it."""
        try:
            files.make_folder(self.folder, mode=0o700)
            with files.locked(self.folder / "key.lock"):
                if not path.exists():
                    key = Ed25519PrivateKey.generate()
                    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                    files.write_whole(path, pem, mode=0o600)
        except ArchiveUnwritable as error:
            raise ArchiveUnwritable(error.message, hint=_HINT) from error

    def _memory(self, archive: Path) -> Path:
        return self.folder / "heads" / sha256(os.fsencode(archive.resolve()))[:32]


def signer_of(head: Head, keys: Iterable[VerifierKey]) -> VerifierKey | None:
    """The one of these keys that signed a head, or nothing."""
    message = head.checkpoint.body().encode()
    for key in keys:
        for signature in head.signatures:
            if (signature.name, signature.key_id) == (key.name, key.key_id) and _holds(key, signature.value, message):
                return key
    return None


def signed_by(text: str, content: bytes, keys: Iterable[VerifierKey]) -> bool:
    """Whether what `sign_text` has made fits a content, and is by one of these keys, whatever their names are.

    OpsErrors or ValueError where it is no such text.
    """
    told, value = text.splitlines()
    key = VerifierKey.parse(told)
    return any(key.public == known.public for known in keys) and _holds(key, decode(value), content)


def _holds(key: VerifierKey, value: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def parse_keys(text: str) -> tuple[VerifierKey, ...]:
    """The verifier keys of a text, a line each."""
    return tuple(VerifierKey.parse(line) for line in text.splitlines() if line.strip())


def read_keys(given: Sequence[str]) -> tuple[VerifierKey, ...]:
    """The keys that a person names: each a verifier key, or a file of some."""
    return tuple(key for text in given for key in parse_keys(text if _is_key(text) else _content(Path(text))))


def _is_key(text: str) -> bool:
    with suppress(BadInput):
        return bool(VerifierKey.parse(text))
    return False


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is neither a verifier key nor a file of some: {error}", hint="give key.vkey") from None

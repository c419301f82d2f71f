"""Signed heads of a ledger, in the text formats of C2SP: checkpoint, signed note and verifier key.

    ops-runbooks/6b2c4e0d9a81f357                      origin: which ledger
    42                                                 size: how many entries
    4Rzm0mTnGgLmDzMG5xRJHd0y7tAhQyN6a0b1m2c3d4E=       root: the hash over all of them, base 64

    — ops-runbooks/6b2c4e0d9a81f357 Zm9v...            name, then base 64 of key id and Ed25519 signature

A verifier key is `NAME+ID+KEY`. Only the one spelling that is written here is read: a head that was altered in any
bit is no head. Making and checking signatures takes a library and is not done here.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from ops_lib.model.errors import BadInput
from ops_lib.model.merkle import leaf_hash

ED25519 = b"\x01"
_SHAPE = re.compile(r"([^\s+]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


def origin_of(first_line: bytes) -> str:
    """The name of the ledger that begins with this line."""
    return f"ops-runbooks/{leaf_hash(first_line).hex()[:16]}"


def encode(raw: bytes) -> str:
    """Base 64 as these formats have it."""
    return base64.b64encode(raw).decode()


def decode(text: str) -> bytes:
    """What a text in base 64 stands for; ValueError for any other spelling than that of `encode`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if encode(raw) != text:
        raise ValueError("not in canonical base 64")
    return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key that bears the name of the ledger whose heads it checks.

    >>> key = VerifierKey(name="ops-runbooks/00", public=bytes(32))
    >>> key.text()
    'ops-runbooks/00+a4d0b751+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    >>> VerifierKey.parse(key.text()) == key
    True
    """

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _KEY.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError("not of the form NAME+ID+KEY")
            raw = decode(match[3])
            key = cls(name=match[1], public=raw[1:])
            if raw[:1] != ED25519 or len(raw) != 33 or key.key_id.hex() != match[2]:
                raise ValueError("its id does not fit, or it is no Ed25519 key")
        except ValueError as error:
            raise BadInput(f"{text[:80]!r} is not a verifier key: {error}", hint="copy key.vkey whole") from None
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of a ledger at one size."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed.

        >>> Checkpoint(origin="ops-runbooks/00", size=0, root=bytes(32)).body().splitlines()
        ['ops-runbooks/00', '0', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']
        """
        return f"{self.origin}\n{self.size}\n{encode(self.root)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature below a head. `key_id` only hints at the key: the signature itself decides."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        return f"— {self.name} {encode(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A checkpoint with its signatures; those of strangers (witnesses) are kept and mean nothing here."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    def text(self) -> str:
        return f"{self.checkpoint.body()}\n{''.join(signature.line() for signature in self.signatures)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The head that a text holds; ValueError where it is not exactly one.

        >>> checkpoint = Checkpoint(origin="ops-runbooks/00", size=7, root=bytes(32))
        >>> head = Head(checkpoint=checkpoint, signatures=(Signature(name="a", key_id=b"abcd", value=bytes(64)),))
        >>> Head.parse(head.text()) == head
        True
        >>> Head.parse(head.text().replace("7", "07"))
        Traceback (most recent call last):
            ...
        ValueError: not a checkpoint: origin, size and root, a line each
        """
        body, separator, below = text.partition("\n\n")
        match = _SHAPE.fullmatch(body + "\n")
        if not separator or match is None:
            raise ValueError("not a checkpoint: origin, size and root, a line each")
        checkpoint = Checkpoint(origin=match[1], size=int(match[2]), root=decode(match[3]))
        lines = below.split("\n")
        if len(lines) < 2 or lines.pop() != "":
            raise ValueError("without a whole signature")
        return cls(checkpoint=checkpoint, signatures=tuple(map(_signature, lines)))


def _signature(line: str) -> Signature:
    match = _SIGNATURE.fullmatch(line)
    raw = decode(match[2]) if match else b""
    if match is None or len(raw) < 5:
        raise ValueError("with a line that is no signature")
    return Signature(name=match[1], key_id=raw[:4], value=raw[4:])

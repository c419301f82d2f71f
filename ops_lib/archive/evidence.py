"""The folder of one record: whether its files are those that entries of the ledger name, and whether its proof holds.

A record folder that was copied anywhere is verified by itself: entry, inclusion proof and signed head are in its
proof.json, and the public key is given.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from ops_lib.archive.keys import signer_of
from ops_lib.archive.records import PROOF
from ops_lib.model.checkpoint import VerifierKey
from ops_lib.model.proof import Proof
from ops_lib.model.tombstone import File, expected_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that does not fit: a file of the archive, or an entry of its ledger."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where} {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification looked at and what did not fit, in the order in which it was met.

    `notes` are no faults: what a reader should know of how far this verification reaches.
    """

    entries: int
    records: int
    faults: tuple[Fault, ...]
    unfinished: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def verify_folder(folder: Path, keys: Sequence[VerifierKey]) -> Verification:
    """Recompute a record folder from nothing but itself and these public keys."""
    try:
        proof = read_proof(folder)
    except ValueError as error:
        return Verification(entries=0, records=1, faults=(Fault(where=f"{folder.name}/{PROOF}", what=str(error)),))
    faults = list(_proof_faults(folder, proof, keys))
    if not faults:
        files = expected_files(proof.entries[0], proof.entries[1:])
        faults = [Fault(where=f"{folder.name}/{path}", what=what) for path, what in file_faults(folder, [files])]
    redacted = [str(proof.entries[0].run_id)] if len(proof.entries) > 1 else []
    head = proof.head.checkpoint
    note = f"signed as entry {proof.entries[0].seq} of {head.size} in {head.origin}" if not faults else None
    return Verification(
        entries=len(proof.entries), records=1, faults=tuple(faults), redacted=tuple(redacted),
        notes=(note,) if note else (),
    )  # fmt: skip


def read_proof(folder: Path) -> Proof:
    """The proof of a record; ValueError, as the words of a fault, where there is none."""
    try:
        return Proof.parse((folder / PROOF).read_bytes())
    except FileNotFoundError:
        raise ValueError("is missing") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"was changed: {error}") from None


def _proof_faults(folder: Path, proof: Proof, keys: Sequence[VerifierKey]) -> Iterator[Fault]:
    where = f"{folder.name}/{PROOF}"
    fault = proof.fault()
    if fault:
        yield Fault(where=where, what=fault)
    elif signer_of(proof.head, keys) is None or len(proof.head.signatures) != 1:
        yield Fault(where=where, what="holds a head that is not signed by a key that was given")


def file_faults(folder: Path, allowed: Sequence[Mapping[str, File]]) -> Iterator[tuple[str, str]]:
    """Each file that is not as one of the allowed descriptions says: its path, and what is wrong with it."""
    for path in allowed[0]:
        fault = _file_fault(f"{folder}/{path}", [files[path] for files in allowed])
        if fault:
            yield path, fault
    for path in sorted(set(_below(folder)) - allowed[0].keys() - {PROOF}):
        yield path, "was added"


def _below(folder: Path | str, prefix: str = "") -> Iterator[str]:
    """Everything in a folder but real folders, by its path in it; links are not followed."""
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                yield from _below(item.path, f"{prefix}{item.name}/")
            else:
                yield prefix + item.name


def _file_fault(path: str, allowed: Sequence[File]) -> str | None:
    try:
        status = os.lstat(path)
        if not S_ISREG(status.st_mode):
            return "was changed: it is no plain file"
        with open(path, "rb") as content:  # noqa: PTH123 - a hundred thousand of these are opened
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    found = {"sha256": digest, "bytes": status.st_size}
    return None if found in allowed else "was changed"

"""The signed head of a ledger, and how it grows: never before an entry is durable, never into another history.

    head            the newest signed head
    key.vkey        the public keys of all who have signed heads of this ledger, a line each
    ledger.tree     a cache: where the last head ended, and what it takes to go on from there

Only what a head covers counts. The cache is believed only where it gives the root that was signed. So neither an entry
that was edited behind our back nor one that was put behind the head is blessed by the next signature.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.keys import Keys, parse_keys, signer_of
from ops_lib.model.checkpoint import Checkpoint, Head, VerifierKey, origin_of
from ops_lib.model.errors import BadInput, DoesNotVerify
from ops_lib.model.ledger import canonical
from ops_lib.model.merkle import Frontier, Tree, extends, leaf_hash

HEAD, PUBLIC, CACHE = "head", "key.vkey", "ledger.tree"
MOST_UNACKNOWLEDGED = 2
"""A kill between entry and head leaves one line, and the note of a torn one before it."""

_ACCEPT = "if it is to stay as it is: runbook verify --accept-loss REASON, which the ledger keeps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A ledger that was found to be what was signed, up to `end` bytes; what may be added to it."""

    origin: str | None
    frontier: Frontier
    end: int

    def add(self, line: bytes) -> "Growth":
        return Growth(
            origin=self.origin or origin_of(line), frontier=self.frontier.add(leaf_hash(line)),
            end=self.end + len(line) + 1,
        )  # fmt: skip


class Heads:
    """The heads of the ledger in an archive. Who calls anything but `read` and `public` holds the ledger's lock."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> Head | None:
        """The newest head; ValueError where the file holds none."""
        try:
            return Head.parse((self.root / HEAD).read_bytes().decode())
        except FileNotFoundError:
            return None

    def public(self) -> tuple[VerifierKey, ...]:
        """The public keys that lie in the archive; BadInput where the file is not as `_publish` writes it."""
        try:
            content = (self.root / PUBLIC).read_bytes()
            keys = parse_keys(content.decode())
        except FileNotFoundError:
            return ()
        except UnicodeDecodeError:
            raise BadInput(f"{PUBLIC} is no text") from None
        if content != _key_lines(keys):
            raise BadInput(f"{PUBLIC} holds more than a key in each line")
        return keys

    def resume(self, ledger: int, end: int, keys: Keys, *, despite_loss: bool = False) -> Growth:
        """The ledger behind a descriptor as far as heads cover it, once it is found to hold all that was signed before.

        What stands behind that, up to `end`, was never acknowledged, and is nothing to go on from. `despite_loss` takes
        the lines as they stand, whatever was signed before.
        """
        if despite_loss:
            lines = [*_lines(ledger, 0, end)]
            return _grown(lines, len(lines))
        signed, remembered = self.trusted(keys), keys.last_signed(self.root)
        growth = self._quickly(ledger, end, signed) if signed and remembered in (None, signed) else None
        growth = growth or self._slowly(ledger, end, [head for head in (signed, remembered) if head])
        if sum(1 for _ in _lines(ledger, growth.end, end)) > MOST_UNACKNOWLEDGED:
            raise DoesNotVerify(
                f"{self.root} has more entries than a head covers, and more than a kill can leave", hint=_ACCEPT
            )
        return growth

    def trusted(self, keys: Keys | None) -> Head | None:
        """The newest head, signed by a key of the archive or by the user's own; DoesNotVerify where it is not."""
        try:
            head = self.read()
            if head is None or signer_of(head, [*self.public(), *_own(keys, head)]):
                return head
        except (ValueError, BadInput) as error:
            raise DoesNotVerify(f"{self.root / HEAD} cannot be trusted: {error}", hint=_ACCEPT) from None
        raise DoesNotVerify(f"{self.root / HEAD} is not signed by a key of this ledger", hint=_ACCEPT)

    def covered(self, keys: Keys | None) -> int:
        """How many entries were signed for, as far as the archive and the user's memory tell."""
        known = (self.trusted(keys), keys.last_signed(self.root) if keys else None)
        return max((head.checkpoint.size for head in known if head), default=0)

    def sign(self, growth: Growth, keys: Keys) -> Head:
        """Sign and keep the head of a ledger whose every entry is durable by now."""
        assert growth.origin is not None
        head = keys.sign(
            Checkpoint(origin=growth.origin, size=growth.frontier.size, root=growth.frontier.root())
        )  # fmt: skip
        self._publish(keys.own(growth.origin))
        files.write_whole(self.root / HEAD, head.text().encode())
        peaks = [peak.hex() for peak in growth.frontier.peaks]
        cache = canonical({"size": growth.frontier.size, "end": growth.end, "peaks": peaks})
        files.write_whole(self.root / CACHE, cache, durable=False)
        keys.remember(self.root, head)
        return head

    def _quickly(self, ledger: int, end: int, signed: Head) -> Growth | None:
        """What the cache says, or nothing where it does not fit the head."""
        try:
            cache: dict[str, Any] = json.loads((self.root / CACHE).read_bytes())
            frontier = Frontier(size=cache["size"], peaks=tuple(map(bytes.fromhex, cache["peaks"])))
            fits = frontier.size == signed.checkpoint.size and frontier.root() == signed.checkpoint.root
            if fits and 0 < cache["end"] <= end and os.pread(ledger, 1, cache["end"] - 1) == b"\n":
                return Growth(origin=signed.checkpoint.origin, frontier=frontier, end=cache["end"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def _slowly(self, ledger: int, end: int, heads: Sequence[Head]) -> Growth:
        """What these heads cover, once all of them are found to be of this ledger."""
        lines = [*_lines(ledger, 0, end)]
        if not lines and heads and not (self.root / HEAD).exists():
            return _grown([], 0)  # begun anew
        tree = Tree(map(leaf_hash, lines))
        for head in heads:
            self._check(head, origin_of(lines[0]) if lines else None, tree)
        return _grown(lines, max((head.checkpoint.size for head in heads), default=0))

    def _check(self, head: Head, origin: str | None, tree: Tree) -> None:
        """Refuse to sign where the ledger is not the one, or not all of the one, that this head was signed for."""
        old = head.checkpoint
        if old.size > tree.size:
            raise DoesNotVerify(
                f"{self.root} had {old.size} entries when it was signed last and has {tree.size} now",
                hint=f"put the newer archive back; {_ACCEPT}",
            )
        proof = tree.consistency(old.size, tree.size)
        if old.origin != origin or not extends(old.root, old.size, tree.root(tree.size), tree.size, proof):
            raise DoesNotVerify(
                f"{self.root} is not the ledger whose head was signed last", hint=f"see `runbook verify`; {_ACCEPT}"
            )

    def _publish(self, key: VerifierKey | None) -> None:
        """Add a key to those of the archive before its first signature is seen."""
        known = self.public()
        if key and key not in known:
            files.write_whole(self.root / PUBLIC, _key_lines((*known, key)))


def _key_lines(keys: Iterable[VerifierKey]) -> bytes:
    return "".join(f"{key.text()}\n" for key in keys).encode()


def _own(keys: Keys | None, head: Head) -> Iterable[VerifierKey]:
    own = keys.own(head.checkpoint.origin) if keys else None
    return [own] if own else []


def _grown(lines: Sequence[bytes], size: int) -> Growth:
    """A ledger of the first `size` of these lines."""
    covered = lines[:size]
    return Growth(
        origin=origin_of(covered[0]) if covered else None,
        frontier=Tree(map(leaf_hash, covered)).frontier(size),
        end=sum(len(line) + 1 for line in covered),
    )


def _lines(ledger: int, start: int, end: int) -> Iterator[bytes]:
    """The whole lines between two places of a file, without their newlines."""
    rest: Sequence[bytes] = [b""]
    while start < end:
        block = os.pread(ledger, min(1 << 20, end - start), start)
        if not block:
            return
        start += len(block)
        *whole, last = (rest[0] + block).split(b"\n")
        rest = [last]
        yield from whole

"""The signed head of a ledger, and how it grows: never before an entry is durable, never into another history.

    head            the newest signed head
    key.vkey        the public keys of all who have signed heads of this ledger, a line each
    ledger.tree     a cache: where the last head ended, and what it takes to go on from there

The cache is believed only where it gives the root that was signed. So an entry that was edited behind our back is not
blessed by the next signature: the root goes on from what the entry was.
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
        """The ledger behind a descriptor up to `end`, once it is found to hold all that was signed before.

        `despite_loss` leaves out what is remembered of a ledger that was longer.
        """
        origin = _origin(ledger, end)
        signed = self._trusted(keys)
        remembered = keys.last_signed(self.root, origin) if origin and not despite_loss else None
        frontier = self._quickly(ledger, end, signed) if signed and remembered in (None, signed) else None
        if frontier is None:
            tree = Tree(map(leaf_hash, _lines(ledger, 0, end)))
            for head in filter(None, (signed, remembered)):
                self._check(head, origin, tree)
            frontier = tree.frontier(tree.size)
        return Growth(origin=origin, frontier=frontier, end=end)

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

    def _trusted(self, keys: Keys) -> Head | None:
        hint = "see `runbook verify`; once it is explained, remove the file: the next entry signs a new one"
        try:
            head = self.read()
            if head is None or signer_of(head, [*self.public(), *_own(keys, head)]):
                return head
        except (ValueError, BadInput) as error:
            raise DoesNotVerify(f"{self.root / HEAD} cannot be trusted: {error}", hint=hint) from None
        raise DoesNotVerify(f"{self.root / HEAD} is not signed by a key of this ledger", hint=hint)

    def _quickly(self, ledger: int, end: int, signed: Head) -> Frontier | None:
        """The frontier from the cache and the lines behind it, or nothing where the cache does not fit."""
        try:
            cache: dict[str, Any] = json.loads((self.root / CACHE).read_bytes())
            frontier = Frontier(size=cache["size"], peaks=tuple(map(bytes.fromhex, cache["peaks"])))
            fits = frontier.size == signed.checkpoint.size and frontier.root() == signed.checkpoint.root
            if not fits or not 0 < cache["end"] <= end or os.pread(ledger, 1, cache["end"] - 1) != b"\n":
                return None
            for line in _lines(ledger, cache["end"], end):
                if json.loads(line)["seq"] != frontier.size:
                    return None
                frontier = frontier.add(leaf_hash(line))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return frontier

    def _check(self, head: Head, origin: str | None, tree: Tree) -> None:
        """Refuse to sign where the ledger is not the one, or not all of the one, that this head was signed for."""
        old = head.checkpoint
        if old.size > tree.size:
            raise DoesNotVerify(
                f"{self.root} had {old.size} entries when it was signed last and has {tree.size} now",
                hint="put the newer archive back; if it is lost for good: runbook verify --accept-loss REASON",
            )
        proof = tree.consistency(old.size, tree.size)
        if old.origin != origin or not extends(old.root, old.size, tree.root(tree.size), tree.size, proof):
            raise DoesNotVerify(
                f"{self.root} is not the ledger whose head was signed last", hint="runbook verify says what was changed"
            )

    def _publish(self, key: VerifierKey | None) -> None:
        """Add a key to those of the archive before its first signature is seen."""
        known = self.public()
        if key and key not in known:
            files.write_whole(self.root / PUBLIC, _key_lines((*known, key)))


def _key_lines(keys: Iterable[VerifierKey]) -> bytes:
    return "".join(f"{key.text()}\n" for key in keys).encode()


def _own(keys: Keys, head: Head) -> Iterable[VerifierKey]:
    own = keys.own(head.checkpoint.origin)
    return [own] if own else []


def _origin(ledger: int, end: int) -> str | None:
    first = next(_lines(ledger, 0, min(end, 1 << 16)), None) if end else None
    return origin_of(first if first is not None else next(_lines(ledger, 0, end))) if end else None


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

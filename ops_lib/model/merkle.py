"""Merkle trees as in RFC 6962: one hash over a list that can be shown to contain an item, and to have only grown.

Everything here takes hashes of leaves (`leaf_hash` of the content), never the content itself. The published roots of
the test tree of Certificate Transparency are the doctest of `Tree`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


def leaf_hash(content: bytes) -> bytes:
    """The hash of one item; the prefix keeps it apart from that of two subtrees."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


class Tree:
    """All leaves, with the hash of every complete subtree: roots and proofs for any size up to its own.

    >>> inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    >>> tree = Tree(leaf_hash(bytes.fromhex(text)) for text in inputs)
    >>> tree.root(0).hex()[:16], tree.root(1).hex()[:16], tree.root(2).hex()[:16]
    ('e3b0c44298fc1c14', '6e340b9cffb37a98', 'fac54203e7cc696c')
    >>> tree.root(3).hex()[:16], tree.root(5).hex()[:16]
    ('aeb6bcfe274b70a1', '4e3bbb1f7b478dcf')
    >>> tree.root(8).hex()
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'
    >>> [item.hex()[:8] for item in tree.inclusion(2, 3)], [item.hex()[:8] for item in tree.consistency(6, 8)]
    (['fac54203'], ['0ebc5d34', 'ca854ea1', 'd37ee418'])
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            self._levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def leaf(self, index: int) -> bytes:
        return self._levels[0][index]

    def root(self, size: int) -> bytes:
        """The root that the tree had when it was this large."""
        return self._root(0, size) if size else hashlib.sha256().digest()

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """What leads from a leaf to the root of that size, from the bottom up."""
        return self._inclusion(index, 0, size)

    def consistency(self, old: int, size: int) -> list[bytes]:
        """What shows that the tree of `size` begins with the tree of `old`."""
        return self._consistency(old, 0, size, known=True) if 0 < old < size else []

    def frontier(self, size: int) -> "Frontier":
        """What it takes to add to the tree of that size."""
        peaks, start = [], 0
        for bit in reversed(range(size.bit_length())):
            if size >> bit & 1:
                peaks.append(self._levels[bit][start >> bit])
                start += 1 << bit
        return Frontier(size=size, peaks=tuple(peaks))

    def _root(self, start: int, end: int) -> bytes:
        count = end - start
        if count & count - 1 == 0:
            level = count.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(count)
        return node_hash(self._root(start, middle), self._root(middle, end))

    def _inclusion(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._inclusion(index, start, middle), self._root(middle, end)]
        return [*self._inclusion(index, middle, end), self._root(start, middle)]

    def _consistency(self, old: int, start: int, end: int, *, known: bool) -> list[bytes]:
        if old == end:
            return [] if known else [self._root(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            return [*self._consistency(old, start, middle, known=known), self._root(middle, end)]
        return [*self._consistency(old, middle, end, known=False), self._root(start, middle)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The roots of the complete subtrees of a tree, the largest first: all that is needed to add to it.

    >>> from functools import reduce
    >>> leaves = [leaf_hash(bytes([number])) for number in range(11)]
    >>> grown = reduce(Frontier.add, leaves, Frontier())
    >>> grown == Tree(leaves).frontier(11), grown.root() == Tree(leaves).root(11)
    (True, True)
    >>> reduce(Frontier.add, leaves[:10], Frontier()).inclusion_of_next() == Tree(leaves).inclusion(10, 11)
    True
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def add(self, leaf: bytes) -> Self:
        """The tree with one leaf more."""
        peaks, size = [*self.peaks, leaf], self.size
        while size & 1:
            right = peaks.pop()
            peaks[-1] = node_hash(peaks[-1], right)
            size >>= 1
        return type(self)(size=self.size + 1, peaks=tuple(peaks))

    def root(self) -> bytes:
        if not self.peaks:
            return hashlib.sha256().digest()
        *larger, root = self.peaks
        for peak in reversed(larger):
            root = node_hash(peak, root)
        return root

    def inclusion_of_next(self) -> list[bytes]:
        """The inclusion proof of the next leaf, in the tree that ends with it."""
        return list(reversed(self.peaks))


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a proof leads from the leaf at `index` to the root of a tree (RFC 9162, 2.1.3.2).

    >>> tree = Tree(leaf_hash(bytes([number])) for number in range(7))
    >>> all(includes(tree.root(7), 7, at, tree.leaf(at), tree.inclusion(at, 7)) for at in range(7))
    True
    >>> includes(tree.root(7), 7, 3, tree.leaf(4), tree.inclusion(4, 7))
    False
    """
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for item in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(item, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, item)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def extends(old: bytes, old_size: int, new: bytes, new_size: int, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the new tree begins with the old one (RFC 9162, 2.1.4.2).

    >>> tree = Tree(leaf_hash(bytes([number])) for number in range(9))
    >>> all(extends(tree.root(n), n, tree.root(9), 9, tree.consistency(n, 9)) for n in range(10))
    True
    >>> extends(tree.root(5), 6, tree.root(9), 9, tree.consistency(6, 9))
    False
    """
    if old_size in (0, new_size):
        return not proof and (old == new if old_size else old == hashlib.sha256().digest())
    path = [old, *proof] if old_size & old_size - 1 == 0 else list(proof)
    if old_size > new_size or not proof:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for item in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(item, first), node_hash(item, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, item)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old and second == new

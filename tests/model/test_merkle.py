"""Merkle trees against a second, naive reading of RFC 6962, and proofs that were altered."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from ops_lib.model.merkle import Tree, extends, includes, leaf_hash

SIZES = st.integers(min_value=1, max_value=70)


def leaves(count: int) -> list[bytes]:
    """The hashes of some leaves."""
    return [leaf_hash(number.to_bytes(4)) for number in range(count)]


def naive(hashes: list[bytes]) -> bytes:
    """The root as the RFC defines it, with nothing remembered."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return hashlib.sha256(b"\x01" + naive(hashes[:half]) + naive(hashes[half:])).digest()


def test_every_root_of_every_size_is_that_of_the_definition() -> None:
    """Also those of sizes that the tree has outgrown."""
    hashes = leaves(70)
    tree = Tree(hashes)
    assert [tree.root(size) for size in range(1, 71)] == [naive(hashes[:size]) for size in range(1, 71)]


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_alone(size: int, data: st.DataObject) -> None:
    """Not for another leaf, place, size or root, nor with a hash more, less or altered."""
    tree = Tree(leaves(size))
    at = data.draw(st.integers(min_value=0, max_value=size - 1))
    root, leaf, proof = tree.root(size), tree.leaf(at), tree.inclusion(at, size)
    assert includes(root, size, at, leaf, proof)
    assert not includes(root, size, at, leaf_hash(b"other"), proof)
    assert not any(includes(root, size, other, leaf, proof) for other in range(-1, size + 1) if other != at)
    assert not includes(root, size, at, leaf, [*proof, leaf])
    assert not any(includes(root, size, at, leaf, proof[:n] + proof[n + 1 :]) for n in range(len(proof)))
    assert not includes(leaf_hash(b"root"), size, at, leaf, proof)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_a_consistency_proof_holds_for_its_two_heads_alone(size: int, data: st.DataObject) -> None:
    """A tree that lost or changed what it had does not extend the old one."""
    hashes = leaves(size)
    tree = Tree(hashes)
    old = data.draw(st.integers(min_value=1, max_value=size))
    proof = tree.consistency(old, size)
    assert extends(tree.root(old), old, tree.root(size), size, proof)
    changed = data.draw(st.integers(min_value=0, max_value=old - 1))
    other = Tree([*hashes[:changed], leaf_hash(b"other"), *hashes[changed + 1 :]])
    assert not extends(tree.root(old), old, other.root(size), size, other.consistency(old, size))
    assert not extends(other.root(old), old, tree.root(size), size, proof)
    assert not extends(tree.root(size), size + 1, tree.root(size), size, [])

"""Signed heads: one spelling is read, and it is that of C2SP."""

import pytest

from ops_lib.model.checkpoint import Checkpoint, Head, Signature, VerifierKey
from ops_lib.model.errors import BadInput

HEAD = Head(
    checkpoint=Checkpoint(origin="ops-runbooks/00", size=12, root=bytes(range(32))),
    signatures=(Signature(name="ops-runbooks/00", key_id=b"\x01\x02\x03\x04", value=bytes(64)),),
)


def test_the_key_of_the_go_checksum_database_is_read() -> None:
    """A published verifier key, whose id only fits where it is computed as the specification says."""
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = VerifierKey.parse(text)
    assert (key.name, key.text()) == ("sum.golang.org", text)


@pytest.mark.parametrize("text", ["", "a+b", "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"])
def test_what_is_no_key_is_refused(text: str) -> None:
    """Also one whose id does not fit."""
    with pytest.raises(BadInput, match="not a verifier key"):
        VerifierKey.parse(text)


def test_every_altered_bit_of_a_head_makes_it_another_or_none() -> None:
    """No two texts are the same head."""
    raw = HEAD.text().encode()
    for bit in range(len(raw) * 8):
        altered = bytearray(raw)
        altered[bit // 8] ^= 1 << bit % 8
        try:
            head = Head.parse(altered.decode())
        except ValueError:
            continue
        assert head != HEAD
        assert head.text().encode() == bytes(altered)


@pytest.mark.parametrize(
    "text",
    [
        HEAD.checkpoint.body(),
        HEAD.text() + "\n",
        HEAD.text().removesuffix("\n"),
        HEAD.text().replace("\n12\n", "\n+12\n"),
        HEAD.text().replace("\n12\n", "\n12\nmore\n"),
        "\n" + HEAD.text(),
    ],
)
def test_what_is_nearly_a_head_is_none(text: str) -> None:
    """A reader that is lenient is one that can be fooled."""
    with pytest.raises(ValueError, match=r"checkpoint|signature"):
        Head.parse(text)

"""Hiding secrets."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_lib.model.carry import Carry
from ops_lib.model.redaction import Redactor

SECRET = "s3cr3t/Pä$$word"


@pytest.fixture
def redactor() -> Redactor:
    """One that knows a secret."""
    known = Redactor()
    known.register(SECRET, "password")
    return known


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        SECRET.encode().hex(),
        json.dumps({"p": SECRET}),
        repr([SECRET]),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"u:" + SECRET.encode()).decode(),
        base64.b64encode(b"x" + SECRET.encode() + b"yz").decode(),
    ],
)
def test_a_secret_is_hidden_in_every_usual_form(redactor: Redactor, form: str) -> None:
    """Plain, URL-encoded, hexadecimal, escaped, and in base 64 at any offset."""
    hidden = redactor.text(f"before {form} after")
    assert "[hidden:password]" in hidden
    assert hidden.startswith("before ")
    assert redactor.hidden["password"] == 1


def test_secrets_in_json_are_hidden_in_keys_and_values(redactor: Redactor) -> None:
    """Structure stays, texts are cleaned."""
    cleaned = redactor.json({SECRET: [1, {"a": f"x{SECRET}"}], "n": None})
    assert cleaned == {"[hidden:password]": [1, {"a": "x[hidden:password]"}], "n": None}


def test_each_line_of_a_key_is_a_secret() -> None:
    """A key that is printed line by line stays hidden."""
    redactor = Redactor()
    redactor.register("-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----", "key")
    assert redactor.text("  ijklmnop") == "  [hidden:key]"


def test_what_is_too_short_is_not_hidden() -> None:
    """A secret of three letters would hide half of a record."""
    redactor = Redactor()
    redactor.register("abc")
    assert redactor.text("abc") == "abc"


@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_a_plain_secret_never_survives(secret: str, before: str, after: str) -> None:
    """Whatever surrounds it, the value itself is gone."""
    redactor = Redactor()
    redactor.register(secret)
    assert secret not in redactor.text(before + secret + after).replace("[hidden:secret]", "\x00")


@st.composite
def interleavings(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Texts of two streams that are made of secrets and of parts of them, in pieces of any size and order."""
    parts = st.sampled_from(["hunter2", "2-two", "aabaab", ".+.+x", "hun", "aab", ".", "\n", "x", "hunter", "ab"])
    streams = {name: "".join(draw(st.lists(parts, max_size=12))) for name in ("stdout", "stderr")}
    pieces = []
    while any(streams.values()):
        name = draw(st.sampled_from([name for name, text in streams.items() if text]))
        size = draw(st.integers(1, 4))
        pieces.append((name, streams[name][:size]))
        streams[name] = streams[name][size:]
    return pieces


@given(interleavings())
def test_no_way_to_cut_streams_up_lets_a_secret_through(pieces: list[tuple[str, str]]) -> None:
    """However two streams interleave: no secret in the joined text of either, nothing else lost, order kept."""
    known = Redactor()
    for secret in ("hunter2", "2-two", "aabaab", ".+.+x"):
        known.register(secret)
    carry = Carry(known)
    released = [piece for name, text in pieces for piece in carry.push(name, text)] + carry.flush()
    for stream in ("stdout", "stderr"):
        whole = "".join(text for name, text in pieces if name == stream)
        kept = "".join(text for name, text in released if name == stream)
        assert kept == known.text(whole)
    assert carry.flush() == []

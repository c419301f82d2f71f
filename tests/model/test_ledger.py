"""The chain of the ledger."""

import json

import pytest

from ops_lib.model.ledger import Entry, EntryKind, canonical, first_break, parse_line


def chain(length: int) -> list[bytes]:
    """Lines of a ledger."""
    lines: list[bytes] = []
    for seq in range(length):
        previous = lines[-1] if lines else None
        entry = Entry.after(
            previous, seq=seq, at="2026-01-01T00:00:00.000Z", kind=EntryKind.INTENT, run_id=f"R{seq}", who="ana",
            body={"n": seq, "text": "é"},
        )  # fmt: skip
        lines.append(entry.line())
    return lines


def test_an_untouched_chain_holds() -> None:
    """Nothing is wrong with what was only appended to."""
    assert first_break(chain(5)) is None


@pytest.mark.parametrize("place", range(4))
def test_every_changed_byte_is_noticed(place: int) -> None:
    """Whichever byte of a line changes, the chain breaks there or at the next line."""
    lines = chain(5)
    for position in range(len(lines[place])):
        altered = bytearray(lines[place])
        altered[position] ^= 1
        broken = first_break([*lines[:place], bytes(altered), *lines[place + 1 :]])
        assert broken is not None, f"byte {position} of line {place}"
        assert broken[0] in (place, place + 1)


@pytest.mark.parametrize(
    ("name", "order"), [("removed", [0, 1, 3, 4]), ("swapped", [0, 2, 1, 3, 4]), ("repeated", [0, 1, 1, 2, 3, 4])]
)
def test_lines_that_are_moved_are_noticed(name: str, order: list[int]) -> None:
    """A line that is removed, swapped or repeated breaks the chain where it happened."""
    lines = chain(5)
    broken = first_break([lines[number] for number in order])
    assert broken is not None, name
    assert broken[0] in (1, 2)


def test_a_line_in_another_form_is_no_entry() -> None:
    """The same content with other spacing is refused: digests are of bytes."""
    line = json.dumps(json.loads(chain(1)[0])).encode()
    with pytest.raises(ValueError, match="canonical"):
        parse_line(line)


def test_a_body_that_does_not_fit_its_digest_is_named() -> None:
    """A forged body is found even where the line is well-formed and the last one."""
    content = json.loads(chain(1)[0])
    content["body"]["n"] = 7
    assert first_break([canonical(content)]) == (0, "has a body that does not fit its digest")

"""The ledger file."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.model import ulid
from ops_lib.model.ledger import EntryKind, first_break

AT = datetime(2026, 1, 1, tzinfo=UTC)


def keys_of(root: Path) -> Keys:
    """The keys for an archive in a temporary folder."""
    return Keys(root.with_name(f"{root.name}-keys"))


def append(root: Path, number: int) -> None:
    """Add an intent."""
    run_id = ulid.make(AT, number.to_bytes(10))
    Ledger(root, keys_of(root)).append(EntryKind.INTENT, at=AT, who="ana", body={"n": number}, run_id=run_id)


def append_many(root: Path, first: int) -> None:
    """Add twenty intents."""
    for number in range(first, first + 20):
        append(root, number)


def test_entries_are_numbered_and_chained(tmp_path: Path) -> None:
    """What is appended can be read back in order."""
    for number in range(3):
        append(tmp_path, number)
    ledger = Ledger(tmp_path)
    assert [entry.seq for entry in ledger.entries()] == [0, 1, 2]
    assert first_break(ledger.lines()) is None


def test_what_a_killed_writer_left_is_cut_off_and_said(tmp_path: Path) -> None:
    """An unfinished line was never acknowledged; the next entry tells of it."""
    append(tmp_path, 0)
    ledger = Ledger(tmp_path)
    with ledger.path.open("ab") as torn:
        torn.write(b'{"at":"2026')
    append(tmp_path, 1)
    assert [entry.kind for entry in ledger.entries()] == ["intent", "torn", "intent"]
    assert first_break(ledger.lines()) is None


def test_an_entry_longer_than_the_tail_that_is_read_first(tmp_path: Path) -> None:
    """A long body is found whole by the next writer."""
    Ledger(tmp_path, keys_of(tmp_path)).append(
        EntryKind.INTENT, at=AT, who="ana", body={"n": "x" * (3 << 20)}, run_id=ulid.make(AT, bytes(10))
    )
    append(tmp_path, 1)
    assert first_break(Ledger(tmp_path).lines()) is None


def test_writers_at_once_do_not_damage_the_chain(tmp_path: Path) -> None:
    """Four processes append; every entry is there, once, in one chain."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(tmp_path, first)) for first in (0, 100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ledger = Ledger(tmp_path)
    assert first_break(ledger.lines()) is None
    assert len({entry.run_id for entry in ledger.entries()}) == 80

"""Snapshots and what is different between two of them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ops_lib.model.changes import ChangeKind, differences
from ops_lib.model.errors import BadInput
from ops_lib.model.snapshot import ColumnStatistics, Counters, IndexState, Snapshot, StatementState, TableState
from ops_lib.model.target import Guard, Identity

INDEX = IndexState(
    table="raw.odds",
    name="odds_game",
    shape="btree (game_id)",
    columns=("game_id",),
    unique=False,
    valid=True,
    partial=False,
    constraint=None,
    scans=7,
    pages=30,
)
TABLE = TableState(
    name="raw.odds",
    kind="r",
    pages=2000,
    tuples=1e6,
    live=1_000_000,
    dead=0,
    modified=0,
    analyzed_at="2026-01-01T00:00:00.000Z",
    vacuumed_at=None,
    columns="d41d",
    options="",
)
IDENTITY = Identity(
    system_identifier="7",
    database="platform",
    server_version=180006,
    user="ops",
    guard=Guard.ROLE,
    in_recovery=False,
    extensions={"plpgsql": "1.0"},
    can_monitor=True,
    can_read_all=True,
)
WELL = Snapshot(
    taken_at=datetime(2026, 1, 1, tzinfo=UTC),
    identity=IDENTITY,
    settings={"work_mem": "4MB"},
    tables=(TABLE,),
    indexes=(INDEX,),
    columns=(ColumnStatistics(table="raw.odds", name="game_id", distinct=-0.5, null_share=0.0, correlation=None),),
    statements=(StatementState(query_id="1", text="SELECT ü", counters=Counters(calls=10, total_ms=100.0)),),
    notes=("seen",),
)


def test_a_snapshot_comes_back_as_it_was() -> None:
    """Bytes hold all of a snapshot, and the same snapshot gives the same bytes."""
    content = WELL.to_bytes()
    assert Snapshot.from_bytes(content) == WELL
    assert Snapshot.from_bytes(content).to_bytes() == content


@pytest.mark.parametrize("content", [b"", b"not gzip", replace(WELL, notes=()).to_bytes()[:40]])
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    """A damaged file is bad input with a way out, not a traceback."""
    with pytest.raises(BadInput) as caught:
        Snapshot.from_bytes(content)
    assert "OPS-SNAPSHOT" in str(caught.value)


def test_nothing_changed() -> None:
    """Two equal snapshots have no differences."""
    assert differences(WELL, WELL) == ()


def test_an_index_that_is_gone_comes_first() -> None:
    """A lost index is named with its table and its definition, before a changed setting."""
    now = replace(WELL, indexes=(), settings={"work_mem": "64kB"})
    first, second = differences(WELL, now)
    assert (first.kind, first.subject) == (ChangeKind.INDEX_GONE, "raw.odds")
    assert first.before == "CREATE INDEX odds_game ON raw.odds USING btree (game_id)"
    assert (second.kind, second.before, second.after) == (ChangeKind.SETTING, "4MB", "64kB")


def test_an_index_under_another_name_is_the_same_one() -> None:
    """A rebuilt index is no change."""
    assert differences(WELL, replace(WELL, indexes=(replace(INDEX, name="other"),))) == ()


def test_an_index_that_could_not_be_read_is_not_gone() -> None:
    """An expression that a lock hid says nothing about the index."""
    assert differences(WELL, replace(WELL, indexes=(replace(INDEX, shape=""),))) == ()


def test_a_query_is_slower_by_what_it_cost_in_between() -> None:
    """The mean since the old snapshot counts, not the one over all time."""
    counters = Counters(calls=11, total_ms=1100.0)
    (change,) = differences(WELL, replace(WELL, statements=(StatementState(query_id="1", text="", counters=counters),)))
    assert (change.kind, change.before, change.after, change.factor) == (
        ChangeKind.QUERY_SLOWER,
        "10.0 ms",
        "1000.0 ms",
        100,
    )


def test_counters_that_were_reset_start_anew() -> None:
    """Fewer calls than before mean a reset, never a negative cost."""
    assert Counters(calls=2, total_ms=5.0).since(Counters(calls=10, total_ms=100.0)).calls == 2


def test_a_table_that_doubled_has_grown() -> None:
    """Growth is named from half again as much on, and only where it is more than a few pages."""
    grown = replace(WELL, tables=(replace(TABLE, pages=4000),))
    assert [change.kind for change in differences(WELL, grown)] == [ChangeKind.TABLE_GROWN]
    assert differences(WELL, replace(WELL, tables=(replace(TABLE, pages=2500),))) == ()

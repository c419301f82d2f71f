"""Changes: what is different between two snapshots of one database, as a pure function of the two."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ops_lib.model.snapshot import IndexState, Snapshot, TableState

GROWTH = 1.5
GROWN_PAGES = 1024
SLOWER = 2.0
SLOWER_MS = 20.0


class ChangeKind(StrEnum):
    """What can be different between two snapshots, in the order in which a person wants to hear it."""

    INDEX_GONE = "index gone"
    INDEX_INVALID = "index became invalid"
    SETTING = "setting changed"
    QUERY_SLOWER = "query slower"
    TABLE_GROWN = "table grown"
    TABLE_GONE = "table gone"
    TABLE_SHRUNK = "table shrunk"
    COLUMNS = "columns changed"
    OPTIONS = "table options changed"
    EXTENSION = "extension changed"
    SERVER = "server version changed"
    INDEX_NEW = "index new"
    TABLE_NEW = "table new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. `before` and `after` are what a person compares; `factor` says how much where it is a number."""

    kind: ChangeKind
    subject: str
    before: str | None = None
    after: str | None = None
    factor: float | None = None
    index: IndexState | None = field(default=None, compare=False)


def differences(old: Snapshot, new: Snapshot) -> tuple[Change, ...]:
    """What changed from one snapshot to a later one, the most telling first."""
    changes = [
        *_index_changes(old, new),
        *_setting_changes(old, new),
        *_slower(old, new),
        *_table_changes(old, new),
        *_version_changes(old, new),
    ]
    order = list(ChangeKind)
    return tuple(sorted(changes, key=lambda c: (order.index(c.kind), -(c.factor or 0.0), c.subject)))


def _index_changes(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    before = {index.identity: index for index in old.indexes}
    after = {index.identity: index for index in new.indexes}
    tables = {table.name for table in new.tables}
    unread = {(index.table, index.name) for index in new.indexes if not index.shape}
    for identity, index in before.items():
        now = after.get(identity)
        if now is None and index.shape and index.table in tables and (index.table, index.name) not in unread:
            yield Change(kind=ChangeKind.INDEX_GONE, subject=index.table, before=index.definition(), index=index)
        elif now is not None and index.valid and not now.valid:
            yield Change(kind=ChangeKind.INDEX_INVALID, subject=now.name, before="valid", after="invalid", index=now)
    known = {(index.table, index.name) for index in old.indexes if not index.shape}
    for identity in sorted(after.keys() - before.keys()):
        index = after[identity]
        if not index.shape or (index.table, index.name) in known:
            continue
        yield Change(kind=ChangeKind.INDEX_NEW, subject=index.table, after=index.definition(), index=index)


def _setting_changes(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    for name in sorted(old.settings.keys() | new.settings.keys()):
        before, after = old.settings.get(name), new.settings.get(name)
        if before != after:
            yield Change(kind=ChangeKind.SETTING, subject=f"setting:{name}", before=before, after=after)


def _slower(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    """Statements whose mean since the old snapshot is well above their mean until then."""
    before = {item.query_id: item.counters for item in old.statements or ()}
    for item in new.statements or ():
        earlier = before.get(item.query_id)
        if earlier is None or not earlier.calls:
            continue
        between = item.counters.since(earlier)
        if between.calls and between.mean_ms >= max(SLOWER_MS, SLOWER * earlier.mean_ms):
            yield Change(
                kind=ChangeKind.QUERY_SLOWER,
                subject=f"query:{item.query_id}",
                before=f"{earlier.mean_ms:.1f} ms",
                after=f"{between.mean_ms:.1f} ms",
                factor=between.mean_ms / max(earlier.mean_ms, 0.001),
            )


def _table_changes(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    before = {table.name: table for table in old.tables}
    after = {table.name: table for table in new.tables}
    for name in before.keys() - after.keys():
        yield Change(kind=ChangeKind.TABLE_GONE, subject=name)
    for name in after.keys() - before.keys():
        yield Change(kind=ChangeKind.TABLE_NEW, subject=name)
    for name in before.keys() & after.keys():
        yield from _one_table(before[name], after[name])


def _one_table(before: TableState, after: TableState) -> Iterable[Change]:
    kind = _size_change(before.pages, after.pages)
    if kind:
        yield Change(
            kind=kind,
            subject=after.name,
            before=f"{before.pages} pages",
            after=f"{after.pages} pages",
            factor=after.pages / max(1, before.pages),
        )
    if before.columns != after.columns:
        yield Change(kind=ChangeKind.COLUMNS, subject=after.name)
    if before.options != after.options:
        options = before.options or "none", after.options or "none"
        yield Change(kind=ChangeKind.OPTIONS, subject=after.name, before=options[0], after=options[1])


def _size_change(before: int, after: int) -> ChangeKind | None:
    if after - before >= GROWN_PAGES and after >= GROWTH * before:
        return ChangeKind.TABLE_GROWN
    if before - after >= GROWN_PAGES and before >= GROWTH * after:
        return ChangeKind.TABLE_SHRUNK
    return None


def _version_changes(old: Snapshot, new: Snapshot) -> Iterable[Change]:
    before, after = old.identity.extensions, new.identity.extensions
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(kind=ChangeKind.EXTENSION, subject=name, before=before.get(name), after=after.get(name))
    if old.identity.server_version != new.identity.server_version:
        yield Change(
            kind=ChangeKind.SERVER,
            subject="cluster",
            before=str(old.identity.server_version),
            after=str(new.identity.server_version),
        )

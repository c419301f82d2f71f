"""Reading an archive: which records there are, and which hold what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ops_lib.archive.index import UNREADABLE, Say, read_notebook
from ops_lib.archive.indexing import consult, silent
from ops_lib.archive.indexing import reindex as make_again
from ops_lib.archive.records import Records
from ops_lib.model.errors import BadInput
from ops_lib.model.search import Label, Query, asked, excerpt, holds_phrases
from ops_lib.model.summary import Summary, passages
from ops_lib.model.times import parse_since
from ops_lib.operations.desk import Desk
from ops_lib.operations.look import look

PHRASE_LOOKS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record that fits: its line, its folder, and the part of it that holds what was asked for."""

    summary: Summary
    folder: Path
    matched: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The newest records that fit. `note` says what a reader should know of how they were found."""

    found: tuple[Found, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pick:
    """What was picked from the runs that fit: those to show, those whose folder is gone, and whether it gave up."""

    shown: list[Summary]
    gone: list[str]
    gave_up: bool = False


def list_records(
    desk: Desk,
    words: Sequence[str] = (),
    *,
    labels: Mapping[Label, str | None] | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    say: Say = silent,
) -> Page:
    """The newest records that hold every word and every quoted phrase, and bear every label."""
    if limit < 1:
        raise BadInput(f"{limit} is no number of records", hint="give --limit 1 or more")
    query = replace(
        asked(" ".join(words)),
        labels=tuple((label, value) for label, value in (labels or {}).items() if value is not None),
        since=parse_since(since, desk.clock()) if since else None,
        until=parse_since(until, desk.clock()) if until else None,
    )
    return _page(desk.archive, query, limit, say)


def documents(desk: Desk, page: Page) -> list[dict[str, Any]]:
    """The records of a page whole, each with its `folder` and what `matched`."""
    kept = Records(desk.archive)
    return [{**kept.read(found.folder), "folder": str(found.folder), "matched": found.matched} for found in page.found]


def reindex(desk: Desk, say: Say) -> int:
    """Make the index from nothing; how many records it holds."""
    return make_again(desk.archive, say) if Records(desk.archive).root.is_dir() else 0


def _page(archive: Path, query: Query, limit: int, say: Say) -> Page:
    records = Records(archive)
    if not records.root.is_dir():
        return Page()
    pick, trouble = look(archive, query, lambda summaries: _pick(records, query, summaries, limit), say=say)
    notes = [f"{trouble}; every record was read instead"] if trouble else []
    if pick.gone and not trouble:
        consult(archive, lambda index: index.refresh(pick.gone), say=say)
    if pick.gave_up:
        notes.append(f"the phrase was looked for in the newest {PHRASE_LOOKS} records that hold all of its words")
    shown = ((summary, records.folder_of(summary.run_id)) for summary in pick.shown)
    found = (Found(summary=summary, folder=folder, matched=_matched(query, folder)) for summary, folder in shown)
    return Page(found=tuple(found), note="; ".join(notes) or None)


def _pick(records: Records, query: Query, summaries: Iterable[Summary], limit: int) -> _Pick:
    pick = _Pick(shown=[], gone=[])
    looks = 0
    for summary in summaries:
        folder = records.folder_of(summary.run_id)
        if not folder.is_dir():
            pick.gone.append(summary.run_id)
            continue
        if query.phrases:
            looks += 1
            if looks > PHRASE_LOOKS:
                return replace(pick, gave_up=True)
            if not holds_phrases(query, _passages(folder)):
                continue
        pick.shown.append(summary)
        if len(pick.shown) == limit:
            break
    return pick


def _matched(query: Query, folder: Path) -> str | None:
    """The passage that holds most of the words; outputs are read only where the record itself holds none."""
    if not query.words and not query.prefixes:
        return None
    return excerpt(query, _passages(folder, outputs=False)) or excerpt(query, _passages(folder))


def _passages(folder: Path, *, outputs: bool = True) -> Iterable[str]:
    try:
        record = Records(folder).read(folder)
        return list(passages(record, read_notebook(folder) if outputs else {}))
    except (BadInput, *UNREADABLE):
        return []

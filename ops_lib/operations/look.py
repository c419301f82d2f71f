"""Looking for runs: through the index, or where that cannot be used, record by record."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ops_lib.archive.index import Say, scan
from ops_lib.archive.indexing import consult, silent
from ops_lib.model.errors import IndexUnavailable
from ops_lib.model.search import Query
from ops_lib.model.summary import Summary

HURRIED_LOOKS = 500
Answer = TypeVar("Answer")


def look(
    archive: Path,
    query: Query,
    take: Callable[[Iterator[Summary]], Answer],
    *,
    say: Say = silent,
    hurry: bool = False,
) -> tuple[Answer, IndexUnavailable | None]:
    """What `take` makes of the runs that fit, the newest first, and why the index could not be used, if so.

    `take` may be called twice, and reads no further than it needs. In a hurry the index is used only where it is up to
    date or nearly so, and without it the newest few hundred records are all that is looked at.
    """
    try:
        return consult(archive, lambda index: take(index.search(query)), say=say, hurry=hurry), None
    except IndexUnavailable as error:
        return take(scan(archive, query, most=HURRIED_LOOKS if hurry else None)), error

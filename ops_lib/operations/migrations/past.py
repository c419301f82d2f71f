"""The past of a database: what earlier runs of migrations have recorded of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ops_lib.model.errors import OpsError
from ops_lib.model.rehearsal import Change
from ops_lib.model.search import Label, Query
from ops_lib.model.summary import Summary
from ops_lib.model.summary import identity as label_of
from ops_lib.model.target import Identity
from ops_lib.operations.look import look
from ops_lib.operations.migrations import keepsake
from ops_lib.postgres.migrations.schema import Schema, difference

_LOOK_BACK = 200
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The runs of one runbook on one database, the newest first."""

    archive: Path
    runbook: str
    identity: Identity

    def drift(self, now: Schema) -> tuple[str, list[Change]] | None:
        """The last run that has recorded the schema, and what is different since; nothing where there is none.

        Another major version of the server writes schemas in other words.
        """
        found = self._look(partial(_newest_schema, self.archive))
        return (found[0], difference(found[1], now)) if found else None

    def ways_back(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """The reverts that were derived, and led back, when these migrations were rehearsed, by version and digest."""
        return self._look(partial(_derived, self.archive, wanted)) if wanted else {}

    def _look(self, take: Callable[[Iterator[Summary]], Answer]) -> Answer:
        database = label_of(self.identity.system_identifier, self.identity.database)
        query = Query(labels=((Label.RUNBOOK, self.runbook), (Label.IDENTITY, database)))
        return look(self.archive, query, lambda found: take(islice(found, _LOOK_BACK)), hurry=True)[0]


def _newest_schema(archive: Path, found: Iterator[Summary]) -> tuple[str, Schema] | None:
    for summary in found:
        for name in (keepsake.AFTER, keepsake.BEFORE):
            if kept := keepsake.schema(archive, summary.run_id, name):
                return summary.run_id, kept
    return None


def _derived(archive: Path, wanted: Mapping[str, str], found: Iterator[Summary]) -> dict[str, str]:
    told: dict[str, str] = {}
    for summary in found:
        if wanted.keys() <= told.keys():
            break
        with suppress(OpsError):
            for each in keepsake.rehearsal(archive, summary.run_id).files:
                if each.derived and each.restored and wanted.get(each.version) == each.digest:
                    told.setdefault(each.version, each.derived)
    return told

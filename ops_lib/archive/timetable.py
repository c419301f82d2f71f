"""The timetable of an archive: read from its ledger, and added to under the ledger's lock."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Gate, Ledger
from ops_lib.archive.tail import Position, read_on
from ops_lib.model.errors import ArchiveUnwritable, Overtaken
from ops_lib.model.ledger import EntryKind, parse_line
from ops_lib.model.schedule import Gap, Schedule
from ops_lib.model.timetable import Standing, concerns, missed_body, told

CACHE = "timetable.json"
"""How the schedules stood after a part of the ledger; deleting it loses nothing but a moment."""

_WORTH_KEEPING = 1 << 16


class Timetable:
    """The schedules that are in force, by name, as far as the ledger was read."""

    def __init__(self, root: Path, keys: Keys | None = None) -> None:
        self._root = root
        self._ledger = Ledger(root, keys)
        self._position, self._standings = self._kept()
        self._read_from = self._position.end

    def read(self) -> Mapping[str, Standing]:
        """How the schedules stand now; what is wrong with an entry is for `runbook verify` to say."""
        while True:
            lines, self._position = read_on(self._ledger.path, self._position)
            if not lines:
                return self._standings
            for line in filter(concerns, lines):
                self._standings = told(self._standings, parse_line(line.rstrip(b"\n")))

    def declare(self, schedule: Schedule, seq: int | None, *, at: datetime, who: str) -> None:
        """Put a schedule in force, in the place of the one that stood at `seq`."""
        self._append(EntryKind.SCHEDULED, schedule.name, schedule.to_json(), seq, at, who)

    def withdraw(self, standing: Standing, *, at: datetime, who: str) -> None:
        """Take a schedule out of force."""
        body = standing.schedule.to_json()
        self._append(EntryKind.UNSCHEDULED, standing.schedule.name, body, standing.seq, at, who)

    def miss(self, standing: Standing, gap: Gap, *, at: datetime, who: str) -> Standing:
        """Write down that due times were not run; how the schedule stands then."""
        name = standing.schedule.name
        self._append(EntryKind.MISSED, name, missed_body(standing.schedule, gap), standing.seq, at, who)
        return self.read()[name]

    def gate(self, name: str, seq: int | None) -> Gate:
        """Lets an entry about a schedule through as long as nothing has happened to it since `seq`."""

        def gate() -> None:
            standing = self.read().get(name)
            if (standing.seq if standing else None) != seq:
                raise Overtaken(f"schedule {name} was settled by another ticker")

        return gate

    def keep(self) -> None:
        """Remember what was read, for the next ticker; an archive that cannot be written needs none."""
        if self._position.end - self._read_from < _WORTH_KEEPING:
            return
        position = {"end": self._position.end, "length": self._position.length, "digest": self._position.digest}
        standings = [standing.to_json() for standing in self._standings.values()]
        content = json.dumps({"position": position, "standings": standings}).encode()
        try:
            files.write_whole(self._root / CACHE, content, durable=False)
        except ArchiveUnwritable:
            return

    def _kept(self) -> tuple[Position, Mapping[str, Standing]]:
        """What an earlier ticker remembered, where the ledger still begins so."""
        try:
            kept = json.loads((self._root / CACHE).read_bytes())
            position = Position(**kept["position"])
            standings = [Standing.from_json(said) for said in kept["standings"]]
        except (OSError, ValueError, LookupError, TypeError):
            return Position(), {}
        if not position.holds(self._ledger.path):
            return Position(), {}
        return position, {standing.schedule.name: standing for standing in standings}

    def _append(
        self, kind: EntryKind, name: str, body: Mapping[str, Any], seq: int | None, at: datetime, who: str
    ) -> None:
        self._ledger.append(kind, at=at, who=who, body=body, gate=self.gate(name, seq))

"""Sealed records: a folder each below `records/YYYY/MM/DD/`, written once and never changed."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.staging import Staging
from ops_lib.model.errors import BadInput
from ops_lib.model.handoff import NAMED
from ops_lib.model.ledger import EntryKind, sha256
from ops_lib.model.proof import Proof
from ops_lib.model.tombstone import pruned
from ops_lib.model.ulid import instant, is_ulid

RECORD, PROOF = "record.json", "proof.json"


class Records:
    """The sealed runs of an archive, by run id; whoever seals signs with `keys`."""

    def __init__(self, root: Path, keys: Keys | None = None) -> None:
        self.root = root / "records"
        self._ledger = Ledger(root, keys)

    def folder_of(self, run_id: str) -> Path:
        """Where a run's record is or will be, by the UTC day on which the run was asked for."""
        return self.root / instant(run_id).strftime("%Y/%m/%d") / run_id

    def seal(self, staging: Staging, record: Mapping[str, Any], *, at: datetime, who: str) -> Path:
        """Make a record of what is staged, and answer with its folder.

        The order is what makes a crash harmless: files, then the ledger's entry with their digests, then its signed
        head, then the proof, then one rename. A crash before the entry leaves an unsealed run, one after it a record
        that only lacks its last steps: `finish` does those.
        """
        described = [describe(staging.folder, path) for path in staging.contents() if str(path) not in (RECORD, PROOF)]
        content = json.dumps({**record, "files": described}, indent=1, ensure_ascii=False, allow_nan=False).encode()
        staging.write(RECORD, content)
        body = {
            "outcome": record["outcome"],
            **{name: record.get(name) for name in ("started_at", "ended_at", "approvals")},
            **_handed_off(staging.run_id, record),
            "record": str(self.folder_of(staging.run_id).relative_to(self.root.parent)),
            "files": [{"path": RECORD, "sha256": sha256(content), "bytes": len(content)}, *described],
        }
        proven = self._ledger.append(EntryKind.RESULT, at=at, run_id=staging.run_id, who=who, body=body)
        return self._place(staging, Proof(head=proven.head, entries=(proven.entry,), inclusions=(proven.inclusion,)))

    def finish(self, staging: Staging) -> Path:
        """The last steps of sealing, once the ledger has the result: signed head, proof and rename."""
        entry = self._ledger.of_run(staging.run_id, EntryKind.RESULT)
        if entry is None:
            raise BadInput(f"run {staging.run_id} has no result in the ledger")
        head, inclusions = self._ledger.prove([entry])
        return self._place(staging, Proof(head=head, entries=(entry,), inclusions=tuple(inclusions)))

    def _place(self, staging: Staging, proof: Proof) -> Path:
        staging.write(PROOF, proof.to_bytes())
        folder = self.folder_of(staging.run_id)
        files.make_folder(folder.parent)
        with files.explained(folder):
            staging.folder.rename(folder)
            files.sync_folder(folder.parent)
            files.sync_folder(staging.folder.parent)
        staging.close()
        return folder

    def newest_first(self) -> Iterator[Path]:
        """The folders of all records, the newest first, read lazily."""
        for year in _descending(self.root):
            for month in _descending(year):
                for day in _descending(month):
                    yield from (folder for folder in _descending(day) if is_ulid(folder.name))

    def strangers(self) -> Iterator[Path]:
        """What lies among the folders of records and is none."""
        for depth in ("*", "*/*", "*/*/*"):
            yield from (path for path in sorted(self.root.glob(depth)) if not path.is_dir())
        yield from (path for path in sorted(self.root.glob("*/*/*/*")) if not is_ulid(path.name))

    def find(self, text: str) -> Path:
        """The folder of the run that a text names: an id, the unique end of one, or `last`."""
        wanted = text.upper()
        if wanted == "LAST":
            newest = next(self.newest_first(), None)
            if newest is None:
                raise BadInput("there is no record yet", hint="run one: runbook run SOP-004")
            return newest
        if is_ulid(wanted) and self.folder_of(wanted).is_dir():
            return self.folder_of(wanted)
        return self._by_end(wanted, text)

    def _by_end(self, wanted: str, text: str) -> Path:
        if len(wanted) < 4 or not wanted.isalnum():
            raise BadInput(f"{text!r} is not a run", hint="give a run id from `runbook records`, or its last letters")
        found = [folder for folder in self.newest_first() if folder.name.endswith(wanted)]
        if len(found) != 1:
            self._tell_of_pruned(wanted)
            which = "several runs end" if found else "no run ends"
            raise BadInput(f"{which} in {text!r}", hint="see `runbook records`")
        return found[0]

    def _tell_of_pruned(self, end: str) -> None:
        """BadInput that says when, by whom and why, where a run that ends so was removed."""
        for entry in self._ledger.entries():
            if str(entry.run_id).endswith(end) and entry.kind == EntryKind.TOMBSTONE and pruned([entry]):
                what = f"run {entry.run_id} was pruned at {entry.at} by {entry.who}: {entry.body.get('reason')}"
                raise BadInput(what, hint="its entries stay in the ledger; see `runbook audit`")

    def read(self, folder: Path) -> dict[str, Any]:
        """The record.json of a folder."""
        try:
            record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
        except (OSError, ValueError) as error:
            raise BadInput(f"{folder / RECORD} cannot be read: {error}", hint="see `runbook verify`") from None
        return record


def _handed_off(run_id: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """The handoffs that are owed from this entry on; those of a run that was resumed are owed since that one."""
    own = [handoff for handoff in record.get("handoffs") or () if handoff.get("made_in") == run_id]
    return {"handoffs": [{name: handoff[name] for name in NAMED} for handoff in own]} if own else {}


def describe(folder: Path, path: Path) -> dict[str, Any]:
    """A file as records and ledger name it: relative path, digest and size."""
    content = (folder / path).read_bytes()
    return {"path": path.as_posix(), "sha256": sha256(content), "bytes": len(content)}


def _descending(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []

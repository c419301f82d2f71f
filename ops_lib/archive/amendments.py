"""Taking out of sealed records what must not stay: a tombstone in the ledger first, then the files.

    amending/RUN_ID/tombstone.json      what is about to be done; without the entry in the ledger it is undone
    amending/RUN_ID/files/...           what stands in place of the files that are taken out
    amending/RUN_ID/record/             a record that is being removed

Once the ledger has the tombstone, the rest is done, by the next command where this one is killed. The folder is gone
when everything is in its place.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ops_lib.archive import files
from ops_lib.archive.keys import Keys
from ops_lib.archive.ledger import Ledger
from ops_lib.archive.motion import AMENDING
from ops_lib.archive.records import PROOF, Records, describe
from ops_lib.model.errors import BadInput
from ops_lib.model.ledger import Entry, EntryKind, canonical, sha256
from ops_lib.model.proof import Proof
from ops_lib.model.tombstone import Action, pruned, pruning, redaction

TOMBSTONE, FILES, RECORD = "tombstone.json", "files", "record"


class Amendments:
    """What is taken out of the records of an archive; one process at a time."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self.root = root / AMENDING
        self._records = Records(root, keys)
        self._ledger = Ledger(root, keys)

    def replace(
        self, run_id: str, make: Callable[[], Mapping[str, bytes]], *, reason: str, at: datetime, who: str
    ) -> Sequence[str]:
        """Put other contents in place of some files of a record, and let the ledger say so; the paths of those files.

        They are made while nobody else amends the record: else what was taken out by one would be put back by another.
        """
        with self._alone():
            contents = make()
            folder, stage = self._records.folder_of(run_id), self.root / run_id
            for path, content in contents.items():
                files.make_folder((stage / FILES / path).parent)
                files.write_whole(stage / FILES / path, content)
            changes = [
                (describe(folder, Path(path)), {"sha256": sha256(content), "bytes": len(content)})
                for path, content in contents.items()
            ]
            self._carry_out(run_id, redaction(reason, changes), at=at, who=who)
            return tuple(contents)

    def remove(self, run_id: str, *, reason: str, at: datetime, who: str) -> bool:
        """Remove a record, unless somebody else has; its entries stay."""
        with self._alone():
            result = self._ledger.of_run(run_id, EntryKind.RESULT)
            if result is None:
                raise BadInput(f"run {run_id} has no result in the ledger")
            if pruned(self._tombstones(run_id)):
                return False
            self._carry_out(run_id, pruning(reason, result), at=at, who=who)
            return True

    def finish_abandoned(self) -> list[str]:
        """Finish or undo what a killed command had begun; the ids of the runs that were finished."""
        if not self.root.is_dir():
            return []
        lock = files.try_lock_folder(self.root)
        if lock is None:
            return []
        try:
            return self._finish_all()
        finally:
            os.close(lock)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        files.make_folder(self.root)
        with files.explained_below(self.root.parent):
            lock = files.lock_folder(self.root)
            try:
                self._finish_all()
                yield
            finally:
                os.close(lock)

    def _finish_all(self) -> list[str]:
        return [folder.name for folder in sorted(self.root.iterdir()) if self._finish_or_undo(folder)]

    def _finish_or_undo(self, stage: Path) -> bool:
        body = _stated(stage)
        declared = body is not None and any(entry.body == body for entry in self._tombstones(stage.name))
        if declared:
            self._finish(stage.name, str(body["action"]) if body else "")
        else:
            self._clear(stage)
        return declared

    def _carry_out(self, run_id: str, body: Mapping[str, Any], *, at: datetime, who: str) -> None:
        files.make_folder(self.root / run_id)
        files.write_whole(self.root / run_id / TOMBSTONE, canonical(body))
        self._ledger.append(EntryKind.TOMBSTONE, at=at, run_id=run_id, who=who, body=body)
        self._finish(run_id, body["action"])

    def _finish(self, run_id: str, action: str) -> None:
        stage, folder = self.root / run_id, self._records.folder_of(run_id)
        with files.explained_below(folder):
            if action == Action.PRUNE:
                self._move_away(folder, stage / RECORD)
            else:
                self._move_in(stage / FILES, folder)
                files.remove_unfinished(folder)
                self._prove(run_id, stage, folder)
        self._clear(stage)

    def _move_away(self, folder: Path, to: Path) -> None:
        if folder.exists():
            folder.rename(to)
            files.sync_folder(folder.parent)
        with suppress(OSError):  # a day, month or year that holds something stays
            for parent in list(folder.parents)[:3]:
                parent.rmdir()

    def _move_in(self, staged: Path, folder: Path) -> None:
        for path in sorted(path for path in staged.rglob("*") if path.is_file()):
            place = folder / path.relative_to(staged)
            path.replace(place)
            files.sync_folder(place.parent)

    def _prove(self, run_id: str, stage: Path, folder: Path) -> None:
        """Give the record a proof that holds its tombstones."""
        result = self._ledger.of_run(run_id, EntryKind.RESULT)
        entries = (*([result] if result else []), *self._tombstones(run_id))
        head, inclusions = self._ledger.prove(entries)
        proof = Proof(head=head, entries=entries, inclusions=tuple(inclusions))
        files.write_whole(stage / PROOF, proof.to_bytes())  # never half a file beside those of a record
        (stage / PROOF).replace(folder / PROOF)
        files.sync_folder(folder)

    def _tombstones(self, run_id: str) -> list[Entry]:
        return [entry for entry in self._ledger.all_of_run(run_id) if entry.kind == EntryKind.TOMBSTONE]

    def _clear(self, stage: Path) -> None:
        with files.explained_below(stage):
            shutil.rmtree(stage)
            files.sync_folder(self.root)


def _stated(stage: Path) -> dict[str, Any] | None:
    try:
        body: dict[str, Any] = json.loads((stage / TOMBSTONE).read_bytes())
    except (FileNotFoundError, ValueError):  # any other error leaves open what was stated: nothing is undone then
        return None
    return body

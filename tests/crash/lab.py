"""One worker of the suite: tells the story with one fault at a time, and looks at what is left.

`python -m tests.crash.lab` reads trials as JSON lines and answers each with a verdict. It is a process of its own
since it forks, which a process with threads should not.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ops_lib.operations import recover
from tests.crash import bugs, inject, look, medium, peer, story
from tests.crash.inject import Ended, Point

Verdict = dict[str, Any]


class Lab:
    """A folder with an archive that can be had fresh, and ways to hurt it."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.base, self.empty, self.root = scratch / "base", scratch / "empty", scratch / "root"
        self.promises = scratch / "promises"
        self.first = False
        self.base.mkdir()
        self.empty.mkdir()
        story.prepare_base(story.archive_in(self.base), story.Promises(scratch / "warm"))
        medium.fresh(self.base, self.root)
        story.tell(self.archive, story.Promises(scratch / "warm"))
        look.broken(self.archive, [])

    @property
    def archive(self) -> Path:
        return story.archive_in(self.root)

    def told(self) -> list[look.Promise]:
        return story.Promises.read(self.promises) if self.promises.exists() else []

    def reset(self) -> None:
        medium.fresh(self.empty if self.first else self.base, self.root)
        self.promises.unlink(missing_ok=True)

    def tell(self) -> None:
        """What the forked child does."""
        told = story.tell_first if self.first else story.tell
        told(self.archive, story.Promises(self.promises))

    def recover(self) -> None:
        look.recover_archive(self.archive)

    def judge(self) -> list[str]:
        """What is wrong with the archive, found by a fresh process."""
        answer = self.scratch / "answer"
        answer.unlink(missing_ok=True)
        ended = inject.forked(
            lambda: _write(answer, look.broken(self.archive, self.told(), base=not self.first)), self.scratch
        )
        if ended.code != 0:
            return [f"cannot be recovered: {ended.said or ended.code}"]
        found: list[str] = json.loads(answer.read_text())
        return found

    # Trials.

    def points(self, bug: str | None = None) -> list[dict[str, Any]]:
        """Every system call of the story that touches the archive or its keys."""
        self.reset()
        with bugs.planted(bug):
            return [_plain(point) for point in inject.points_of(self.tell, self.root, self.scratch)]

    def fault(self, point: Mapping[str, Any], fault: str, bug: str | None = None, onwards: bool = False) -> Verdict:
        """The story with one fault in it."""
        self.reset()
        with bugs.planted(bug):
            ended = inject.injected(self.tell, Point(**point), fault, self.scratch, onwards=onwards)
            return self._verdict(ended, fault)

    def recovery_points(self, point: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every system call of the recovery that follows a kill."""
        self._kill(point)
        return [_plain(found) for found in inject.points_of(self.recover, self.root, self.scratch)]

    def recovery_fault(
        self, point: Mapping[str, Any], second: Mapping[str, Any], fault: str, bug: str | None = None
    ) -> Verdict:
        """A kill, and a fault in the recovery from it."""
        with bugs.planted(bug):
            self._kill(point)
            ended = inject.injected(self.recover, Point(**second), fault, self.scratch)
            return self._verdict(ended, fault)

    def _kill(self, point: Mapping[str, Any]) -> None:
        self.reset()
        inject.injected(self.tell, Point(**point), inject.KILL, self.scratch)

    def _verdict(self, ended: Ended, fault: str) -> Verdict:
        met = ended.code == -9 if fault == inject.KILL else bool(ended.injected)
        wrong = look.explained(ended.said, self.root) if fault != inject.KILL else []
        return {"met": met, "wrong": [*wrong, *self.judge()]}

    def power_cut(self, point: Mapping[str, Any], mode: str, bug: str | None = None) -> Verdict:
        """The story on a file system whose power is cut at a point."""
        image, copy = self.scratch / "image", self.scratch / "copy"
        self._golden(mode)
        medium.copy_without_sync(self.scratch / f"golden-{mode}", image)
        self.promises.unlink(missing_ok=True)
        with medium.mounted(image, self.root, mode):
            with bugs.planted(bug):
                ended = inject.injected(self.tell, Point(**point), inject.KILL, self.scratch)
            medium.copy_without_sync(image, copy)
        with medium.mounted(copy, self.root, mode), bugs.planted(bug):
            return {"met": ended.code == -9, "wrong": self.judge()}

    def power_points(self, mode: str, bug: str | None = None) -> list[dict[str, Any]]:
        """Every system call of the story on a file system."""
        image = self.scratch / "image"
        self._golden(mode)
        medium.copy_without_sync(self.scratch / f"golden-{mode}", image)
        with medium.mounted(image, self.root, mode), bugs.planted(bug):
            return [_plain(point) for point in inject.points_of(self.tell, self.root, self.scratch)]

    def _golden(self, mode: str) -> None:
        """An image that holds the base, unmounted in order and so complete."""
        golden = self.scratch / f"golden-{mode}"
        if not golden.exists():
            medium.make_image(golden)
            medium.empty(self.root)
            with medium.mounted(golden, self.root, mode):
                medium.fill(self.base, self.root)
        medium.empty(self.root)

    def story(self, bug: str | None = None) -> Verdict:
        """The story without any fault but the bug."""
        self.reset()
        with bugs.planted(bug):
            inject.forked(self.tell, self.scratch)
            return {"met": True, "wrong": self.judge()}

    def torn(self, bug: str | None = None) -> Verdict:
        """A supervisor dies, and the end of its journal is not what it wrote."""
        self.reset()
        with bugs.planted(bug):
            inject.forked(lambda: story.leave_torn(self.archive, story.Promises(self.promises)), self.scratch)
            wrong = self.judge()
        lies = [str(path) for path in self.archive.rglob("*") if path.is_file() and story.LIE in path.read_bytes()]
        return {"met": True, "wrong": [*wrong, *(f"a torn line is believed: {path}" for path in lies)]}

    def together(self, bug: str | None = None, writers: int = 4) -> Verdict:
        """Several runs at once, each in a process of its own."""
        self.reset()
        with bugs.planted(bug):
            numbers = range(story.BASE_RUNS, story.BASE_RUNS + writers)
            inject.forked_together([self._one(number) for number in numbers], self.scratch)
        return {"met": True, "wrong": self.judge()}

    def _one(self, number: int) -> Callable[[], None]:
        promises = self.promises
        return lambda: story.run(story.desk(self.archive, number), story.Promises(promises), number)

    # The same for papermill's writer.

    def peer_points(self) -> list[dict[str, Any]]:
        """Every system call with which papermill saves a notebook three times."""
        self._empty_peer()
        self._save()
        self._empty_peer()
        return [_plain(point) for point in inject.points_of(self._save, self.root, self.scratch)]

    def peer_fault(self, point: Mapping[str, Any], fault: str) -> dict[str, Any]:
        """Whether papermill's file can be read after a fault, and is at least what was saved last."""
        self._empty_peer()
        ended = inject.injected(self._save, Point(**point), fault, self.scratch)
        kept, promised = peer.what_is_saved(self.root / "output.ipynb"), self.told()
        return {
            "met": ended.code == -9 or bool(ended.injected),
            "unreadable": bool(promised) and kept is None,
            "lost": bool(promised) and (kept is None or kept < promised[-1]["saved"]),
        }

    def _empty_peer(self) -> None:
        medium.empty(self.root)
        self.promises.unlink(missing_ok=True)

    def _save(self) -> None:
        promises = story.Promises(self.promises)
        cell = {"cell_type": "markdown", "id": "a", "source": "text " * 2000}
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        peer.save(notebook, self.root / "output.ipynb", lambda number: promises.note(saved=number))


def _plain(point: Point) -> dict[str, Any]:
    return {"operation": point.operation, "call": point.call, "number": point.number}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def main() -> None:
    """Answer trials until there are no more."""
    recover.keeper.kill_strays = lambda *_: None  # reads /proc, whose size nobody can foresee
    with medium.scratch_folder() as scratch:
        lab = Lab(scratch)
        for line in sys.stdin:
            trial = json.loads(line)
            act: Callable[..., Any] = getattr(lab, trial.pop("kind"))
            try:
                lab.first = trial.pop("first", False)
                answer = {"answer": act(**trial)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()

"""Two labs at work: trials are handed to whichever is free."""

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
WORKERS = 2


class Pool:
    """Workers of a kind, each a process of its own with a folder of its own."""

    def __init__(self, workers: int = WORKERS) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "tests.crash.lab"]
        self._labs: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        self._all = [
            subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(workers)
        ]
        for lab in self._all:
            self._labs.put(lab)

    def ask(self, kind: str, **trial: Any) -> Any:
        """The answer to one trial."""
        lab = self._labs.get()
        try:
            assert lab.stdin is not None
            assert lab.stdout is not None
            lab.stdin.write(json.dumps({"kind": kind, **trial}) + "\n")
            lab.stdin.flush()
            answer = json.loads(lab.stdout.readline() or '{"error": "the lab died"}')
        finally:
            self._labs.put(lab)
        if "error" in answer:
            raise RuntimeError(f"{kind} {trial}: {answer['error']}")
        return answer["answer"]

    def ask_all(self, trials: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], Any]]:
        """Each trial with its answer, as they come."""
        waiting = _Shared(trials)
        answers: list[tuple[dict[str, Any], Any]] = []
        failures: list[Exception] = []

        def work() -> None:
            try:
                answers.extend((trial, self.ask(**trial)) for trial in waiting)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in self._all]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return answers

    def close(self) -> None:
        """Let the workers go home."""
        for lab in self._all:
            lab.communicate()


class _Shared:
    """An iterator that several threads may draw from."""

    def __init__(self, items: Iterable[dict[str, Any]]) -> None:
        self._items = iter(items)
        self._turn = threading.Lock()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            with self._turn:
                drawn = list(itertools.islice(self._items, 1))
            if not drawn:
                return
            yield drawn[0]

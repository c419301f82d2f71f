"""Where the cells of one run are executed: a private folder, the step channel in it, and a kernel."""

import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ops_lib.model.run import RUN_VARIABLE
from ops_lib.notebooks import channel, keeper
from ops_lib.notebooks.kernel import StartedAhead
from ops_lib.operations.desk import Desk


class Workplace:
    """The kernel is being started from now on, while its run is still being prepared."""

    def __init__(self, desk: Desk, run_id: str, answer: Callable[[str, Mapping[str, Any]], Any]) -> None:
        self._run_id = run_id
        self._scratch = desk.scratch(run_id)
        self._scratch.mkdir(mode=0o700)
        place = self._scratch / "channel"
        self._server = channel.Server(place, answer)
        environment = {**desk.environment, channel.VARIABLE: str(place), RUN_VARIABLE: run_id}
        self.kernel = StartedAhead(desk.kernel(self._scratch, environment))
        self._closing = threading.Lock()
        self._closed = False

    def leave(self, then: Callable[[], object]) -> None:
        """Close it, and do what comes after that, without waiting."""
        self.kernel.kill()
        threading.Thread(target=self.close, args=(then,), daemon=True).start()

    def close(self, then: Callable[[], object] = lambda: None) -> None:
        """Nothing is left of the kernel, or of what it started, when this returns; once is enough."""
        self.kernel.kill()
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._server.close()
            if not self.kernel.end():
                keeper.kill_strays(RUN_VARIABLE, self._run_id)
            shutil.rmtree(self._scratch, ignore_errors=True)
            then()

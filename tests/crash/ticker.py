"""One machine's cron in a day that goes by in minutes: `python -m tests.crash.ticker FOLDER BEGAN SPEED RUNS`.

It recovers and ticks again and again, until the day is over and nothing is due. Where RUNS is not `real`, each run is
whole but for its kernel, and what it would have done is written to a file beside the archive: a witness that knows
nothing of claims.
"""

import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from ops_lib.model.errors import BadTarget, Overtaken
from ops_lib.model.run import CellStatus
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.operations import run as run_module
from ops_lib.operations.desk import Desk
from ops_lib.operations.recover import recover
from ops_lib.operations.schedule import Filed
from ops_lib.operations.tick import Settled, tick

MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)
DAY = timedelta(days=1)
WITNESS = "witness"
REAL = "real"


def desk_of(folder: Path, *, began: float, speed: float) -> Desk:
    """A desk whose clock shows midnight at `began`, and goes `speed` times as fast until the next midnight."""

    def clock() -> datetime:
        return min(MIDNIGHT + timedelta(seconds=(time.time() - began) * speed), MIDNIGHT + DAY)

    return Desk(
        archive=folder / "outputs",
        runbooks=(folder / "runbooks",),
        targets={"demo": Target(name="demo", embedded=True)},
        default_target="demo",
        who="cron",
        how_known="test",
        clock=clock,
        randomness=os.urandom,
        reach=_no_target,
        experiments=lambda: None,
        scratch=lambda run_id: Path(tempfile.gettempdir()) / f"runbook-{run_id[-12:].lower()}",
        environment={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        configuration=folder / "configuration",
        cwd=folder,
    )


def _no_target(target: Target, hazard: Hazard) -> Login:
    raise BadTarget(f"no target for a test: {target.name} {hazard}")


def filed(folder: Path) -> Filed:
    """The schedules of the day."""
    file = folder / "schedules.yaml"
    return Filed(file=file, entries=yaml.safe_load(file.read_text()))


def stand_in(notebook: dict[str, Any], kernel: object, observer: Any) -> None:
    """Instead of a kernel: tells the witness what is done, once the claim must be durable."""
    opened = observer.staging.events[0]
    with (observer.staging.folder.parents[2] / WITNESS).open("a") as witness:
        witness.write(opened["run_id"] + "\n")
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            observer.cell_began(cell["id"])
            observer.cell_ended(cell["id"], CellStatus.OK, 0.0)


def tick_once(desk: Desk, folder: Path) -> list[Settled]:
    """What cron's line does."""
    recover(desk)
    try:
        return list(tick(desk, filed(folder)))
    except Overtaken:
        return []


def main(folder: Path, began: float, speed: float, runs: str) -> None:
    if runs != REAL:
        run_module.execute = stand_in
    desk = desk_of(folder, began=began, speed=speed)
    while tick_once(desk, folder) or desk.clock() < MIDNIGHT + DAY:
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])

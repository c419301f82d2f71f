"""No step has its effect twice, none is missing, none is guessed, and every record is true, whatever is killed when."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crash.report import bound
from tests.figures import WHOLE, Figures

RUNS = int(os.environ.get("RUNBOOK_STEP_RUNS") or (1000 if WHOLE else 6))
WORLDS = 2


def test_steps_have_their_effect_once(chance: random.Random, figures: Figures) -> None:
    """Kernel, supervisor, database and all of them at once, killed at random moments; resumed until done."""
    each = [RUNS // WORLDS + (world < RUNS % WORLDS) for world in range(WORLDS)]
    worlds = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.crash.kills", str(chance.randrange(1 << 30)), "0", str(count)],
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )
        for count in each
    ]  # fmt: skip
    said = [json.loads(line) for world in worlds for line in world.communicate()[0].splitlines()]
    assert [world.returncode for world in worlds] == [0] * WORLDS
    told = [item for item in said if "number" in item]
    kills = sum((Counter(item["kills"]) for item in told), Counter())
    wrong = [text for item in said for text in item["wrong"]]
    counted = {name: sum(item[name] for item in told) for name in ("attempts", "asked")}
    figures.add("steps", runs=len(told), kills=dict(kills), **counted, wrong=len(wrong), bound=bound(len(wrong), RUNS))
    assert not wrong, "\n".join(wrong)
    assert len(told) == RUNS

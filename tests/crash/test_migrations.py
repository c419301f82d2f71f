"""No migration is applied twice, none is lost, and the history is the schema, whatever is killed when."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crash.migrating import PLACES
from tests.crash.report import bound
from tests.figures import WHOLE, Figures

AT_PLACES = len(PLACES) if WHOLE else 2
AT_RANDOM = int(os.environ.get("RUNBOOK_MIGRATION_RUNS") or (95 if WHOLE else 2))


def test_migrations_are_applied_once(chance: random.Random, figures: Figures) -> None:
    """Killed at the boundaries of its steps and at random moments, and resumed until the database has had all."""
    world = subprocess.run(
        [sys.executable, "-m", "tests.crash.migrating", str(chance.randrange(1 << 30)), str(AT_PLACES), str(AT_RANDOM)],
        stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], check=True,
    )  # fmt: skip
    said = [json.loads(line) for line in world.stdout.splitlines()]
    told = [item for item in said if "number" in item]
    kills = sum((Counter(item["kills"]) for item in told), Counter())
    wrong = [text for item in said for text in item["wrong"]]
    attempts = sum(item["attempts"] for item in told)
    figures.add(
        "migrations", runs=len(told), kills=dict(kills), attempts=attempts, wrong=len(wrong),
        bound=bound(len(wrong), kills.total()),
    )  # fmt: skip
    assert not wrong, "\n".join(wrong)
    assert len(told) == AT_PLACES + AT_RANDOM
    assert kills.total() >= AT_PLACES

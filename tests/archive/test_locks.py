"""One changing run per target at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops_lib.archive.locks import hold
from ops_lib.model.errors import Refused

ANA = {"run_id": "R1", "runbook": "SOP-001", "who": "ana", "since": "2026-01-01T00:00:00Z"}


def test_a_second_holder_is_refused_with_who_and_since(tmp_path: Path) -> None:
    """Another target is free, and the same one is again afterwards."""
    with hold(tmp_path, "platform of 1", ANA):
        refused = pytest.raises(Refused, match=r"changed by run R1 of SOP-001, asked for by ana, since 2026")
        with refused, hold(tmp_path, "platform of 1", {**ANA, "run_id": "R2"}):
            pass
        with hold(tmp_path, "platform of 2", ANA):
            pass
    with hold(tmp_path, "platform of 1", ANA):
        pass


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    """kill -9 of the holder leaves nothing to clean up."""
    code = (
        "import os, sys; from pathlib import Path; from ops_lib.archive.locks import hold\n"
        f"with hold(Path(sys.argv[1]), 't', {ANA!r}): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=dict(os.environ))
    assert done.returncode == -9
    with hold(tmp_path, "t", ANA):
        pass

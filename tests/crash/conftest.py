"""What the suites of `make test-crash` share: where they count, their random numbers, and the labs that they break."""

import random
import shutil
from collections.abc import Iterator

import pytest

from tests.crash import medium
from tests.crash.pool import Pool
from tests.figures import SEED, Figures


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where the suites write down what they counted."""
    return Figures()


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own, the same for the same seed."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Two labs that can inject faults; skips where strace is missing."""
    if shutil.which("strace") is None:
        pytest.skip("fault injection needs strace")
    made = Pool()
    yield made
    made.close()


@pytest.fixture(scope="session")
def power(pool: Pool) -> Pool:
    """Labs that can cut the power; skips where no file system can be mounted."""
    if why := medium.why_no_power_cuts():
        pytest.skip(why)
    return pool

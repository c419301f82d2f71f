"""The history that every layout gets. Each change stands on those before it."""

from tests.postgres.migrations.broken import BROKEN
from tests.postgres.migrations.change import APPLY_FAILS
from tests.postgres.migrations.sound import SOUND

CHANGES = (*SOUND, *BROKEN)
GOOD = tuple(each for each in CHANGES if each.verdict != APPLY_FAILS)

"""The catalogue of causes: every slug that a finding may carry, with what it means and what usually helps.

`docs/causes.md` is this table for people; a test keeps the two and the checks together.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a slug means, and the remedy that usually helps."""

    meaning: str
    remedy: str


CAUSES: Mapping[str, Cause] = {
    "autovacuum-disabled": Cause(
        meaning="Dead rows pile up in a table for which autovacuum was switched off.",
        remedy="RESET autovacuum_enabled, VACUUM (ANALYZE).",
    ),
    "autovacuum-overdue": Cause(
        meaning="A table has been due for vacuum for several turns, and none has come.",
        remedy="End what holds the horizon, or give autovacuum more workers or a higher cost limit; VACUUM.",
    ),
    "backup-damaged": Cause(
        meaning="A backup was restored in a drill and is not what was saved, or cannot be restored.",
        remedy="Take another one now, drill it, and look at the disk.",
    ),
    "backup-missing": Cause(
        meaning="A backup that was taken is not there, and this tool did not remove it.",
        remedy="Find out who removed it; take another one.",
    ),
    "backup-unproven": Cause(
        meaning="No backup was restored in a drill within the last eight days.",
        remedy="Run OPS-RESTORE-DRILL.",
    ),
    "blocking-session": Cause(
        meaning="Sessions wait for locks of one that is at work.",
        remedy="Wait for it, or cancel its statement.",
    ),
    "connections-exhausted": Cause(
        meaning="Nearly all connections that ordinary roles may have are taken.",
        remedy="Cap the pools or put PgBouncer in front; end idle connections.",
    ),
    "ddl-queue": Cause(
        meaning="A statement that wants a table for itself waits for a reader, and everybody else waits behind it.",
        remedy="Cancel the waiting statement; repeat it with a short lock_timeout.",
    ),
    "dead-rows": Cause(
        meaning="A table holds many dead rows, and autovacuum is about to see to it.",
        remedy="Nothing, unless it is still so at the next look.",
    ),
    "dropped-index": Cause(
        meaning="An index that an earlier snapshot saw is gone, and statements miss it.",
        remedy="Make it again as it was, CONCURRENTLY.",
    ),
    "idle-in-transaction": Cause(
        meaning="A session keeps a transaction open and does nothing; it holds locks, and what vacuum may not remove.",
        remedy="End the session; set idle_in_transaction_session_timeout for its role.",
    ),
    "invalid-object": Cause(
        meaning="An index is invalid, a constraint is unproven, or a view cannot be read any more.",
        remedy="Drop and build the index again, VALIDATE the constraint, make the view again.",
    ),
    "irreversible-migration": Cause(
        meaning="A migration has no way back, or one that does not lead to the schema from which it came.",
        remedy="Write or mend its revert file; where it loses data, know that only a backup brings that back.",
    ),
    "leaked-advisory-lock": Cause(
        meaning="An idle session holds an advisory lock for which others wait.",
        remedy="End the session; take advisory locks for a transaction, not for a session.",
    ),
    "missing-index": Cause(
        meaning="Costly statements read a whole table to find a few rows, and no index leads with what they search by.",
        remedy="CREATE INDEX CONCURRENTLY.",
    ),
    "missing-statistics": Cause(
        meaning="A large table was never analyzed: the planner guesses.",
        remedy="ANALYZE; let autovacuum do it from then on.",
    ),
    "orphaned-prepared-transaction": Cause(
        meaning="Sessions wait for a prepared transaction that nobody ends.",
        remedy="COMMIT PREPARED or ROLLBACK PREPARED, as its transaction manager says.",
    ),
    "pool-leak": Cause(
        meaning="One application holds most connections, and most of them are idle.",
        remedy="Cap its pool; end its idle connections.",
    ),
    "query-slower": Cause(
        meaning="A statement takes at least twice as long as when it was well, and no cause was found yet.",
        remedy="See what changed since.",
    ),
    "query-waits": Cause(
        meaning="A statement is slow although it touches little: it waits.",
        remedy="Look at locks, commits and the load of the machine.",
    ),
    "query-was-slow": Cause(
        meaning="A statement was slow, and its present plan is cheap.",
        remedy="Nothing.",
    ),
    "schema-drift": Cause(
        meaning="A schema is not what the rehearsal of a change led to.",
        remedy="See who else changes this database, and whether that was meant.",
    ),
    "setting-changed": Cause(
        meaning="A setting is different from what an earlier snapshot saw.",
        remedy="See whether it was meant.",
    ),
    "slow-query": Cause(
        meaning="A statement is slow because of what it must read; no index or statistic explains it.",
        remedy="Read its plan; ask for less, or prepare the answer.",
    ),
    "sort-spill": Cause(
        meaning="A slow statement writes temporary files because its sort or hash does not fit into work_mem.",
        remedy="An index in the wanted order, or more work_mem for its role.",
    ),
    "stale-statistics": Cause(
        meaning="A table changed much since it was analyzed; nobody is about to see to it, or a query suffers already.",
        remedy="ANALYZE; give the table back to autovacuum, or let each load end with ANALYZE.",
    ),
    "table-grown": Cause(
        meaning="A table is much larger than an earlier snapshot saw.",
        remedy="See whether it was meant.",
    ),
    "unproven-migration": Cause(
        meaning="The verify file of a migration does not hold on the copy on which it was rehearsed.",
        remedy="See whether it asks for rows that the copy has not; otherwise mend the migration or its proof.",
    ),
    "unsafe-migration": Cause(
        meaning="A statement of a migration stops readers or writers, loses data, or can be left half done.",
        remedy="Use the safe form that is attached, or do it when nobody minds.",
    ),
}

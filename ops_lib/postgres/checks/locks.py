"""Is anyone waiting? Chains of sessions that wait for a lock, told from their head."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import Metric, Result, Table
from ops_lib.model.times import format_seconds
from ops_lib.postgres.checks.evidence import Evidence, Tolerances, count

TITLE = "Is anyone waiting?"
MOMENT_S = 1.0
PREPARED = 0  # what pg_blocking_pids() says for a prepared transaction, which has no process

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A head that waits for nobody, and all who wait behind it, the longest wait first.

    `gate` is a waiting statement that wants its table for itself: everybody who came later waits behind it as well.
    """

    head: Mapping[str, Any]
    waiters: tuple[Mapping[str, Any], ...]
    gate: Mapping[str, Any] | None

    @property
    def waits_s(self) -> float:
        return float(max(waiter["waits_s"] for waiter in self.waiters))

    @property
    def relation(self) -> str | None:
        return next((waiter["relation"] for waiter in self.waiters if waiter["relation"]), None)


def look(evidence: Evidence) -> Result:
    waits = evidence.answer("locks", "waits")
    if not waits:
        return judge([], [], [], evidence.tolerances)
    waiting = {row["pid"] for row in waits}
    heads = {pid for row in waits for pid in row["blockers"]} - waiting - {PREPARED}
    sessions = evidence.answer("locks", "sessions", {"pids": sorted(heads)})
    orphans = any(PREPARED in row["blockers"] for row in waits)
    prepared = (evidence.optional("locks", "prepared") or []) if orphans else []
    return judge(waits, sessions, prepared, evidence.tolerances)


def judge(waits: Rows, sessions: Rows, prepared: Rows, tolerances: Tolerances) -> Result:
    """One finding for each head; a wait below its limit is information, and one of a moment is nothing at all."""
    chains = [chain for chain in _chains(waits, sessions, prepared) if chain.waits_s >= MOMENT_S]
    findings = _distinct(_finding(chain, tolerances) for chain in chains)
    longest = max((float(row["waits_s"]) for row in waits), default=0.0)
    rows = [_row(waiter, chain) for chain in chains for waiter in chain.waiters]
    return Result(
        title=TITLE,
        verdict=_verdict(findings, len(waits), longest),
        findings=findings,
        table=Table.of(("waits", "pid", "application", "for", "on", "behind", "statement"), rows) if rows else None,
        metrics={
            "sessions_waiting": Metric(value=len(waits), unit="sessions"),
            "longest_wait": Metric(value=longest, unit="s"),
        },
        next_step="End the head, not those who wait; TSG-LOCKS explains each kind." if _serious(findings) else None,
    )


def _serious(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is not Severity.INFO for finding in findings)


def _verdict(findings: Sequence[Finding], waiting: int, longest: float) -> str:
    if not waiting:
        return "Nobody waits for a lock."
    if not _serious(findings):
        return (
            f"{count(waiting, 'session')} waited for a lock at this moment, none longer than {format_seconds(longest)}."
        )
    return findings[0].summary


def _chains(waits: Rows, sessions: Rows, prepared: Rows) -> list[Chain]:
    by_pid = {row["pid"]: row for row in waits}
    heads: dict[Any, Mapping[str, Any]] = {row["pid"]: row for row in sessions}
    behind: dict[Any, list[Mapping[str, Any]]] = {}
    for row in waits:
        for head in _heads_of(row, by_pid, prepared, seen=set()):
            behind.setdefault(head, []).append(row)
    heads.update({row["gid"]: row for row in prepared})
    return [_chain(heads[head], waiters) for head, waiters in behind.items() if head in heads]


def _heads_of(row: Mapping[str, Any], by_pid: Mapping[int, Any], prepared: Rows, seen: set[int]) -> set[Any]:
    """Those at the end of all chains that begin with this waiter; none in a circle, which the server breaks itself."""
    if row["pid"] in seen:
        return set()
    seen.add(row["pid"])
    heads: set[Any] = set()
    for pid in row["blockers"]:
        if pid == PREPARED:
            heads |= {one["gid"] for one in prepared if _holds(one, row)}
        elif pid in by_pid:
            heads |= _heads_of(by_pid[pid], by_pid, prepared, seen)
        else:
            heads.add(pid)
    return heads


def _holds(prepared: Mapping[str, Any], waiter: Mapping[str, Any]) -> bool:
    return prepared["awaited"] == waiter["awaited"] or waiter["relation"] in prepared["relations"]


def _chain(head: Mapping[str, Any], waiters: list[Mapping[str, Any]]) -> Chain:
    ordered = tuple(sorted(waiters, key=lambda row: -row["waits_s"]))
    blocking = {pid for row in waiters for pid in row["blockers"]}
    gates = [row for row in ordered if row["mode"] == "AccessExclusiveLock" and row["pid"] in blocking]
    return Chain(head=head, waiters=ordered, gate=gates[0] if gates else None)


def _finding(chain: Chain, tolerances: Tolerances) -> Finding:
    if chain.gate is not None:
        return _queue(chain, chain.gate, tolerances)
    if "gid" in chain.head:
        return _orphan(chain, tolerances)
    return _session(chain, tolerances)


def _queue(chain: Chain, gate: Mapping[str, Any], tolerances: Tolerances) -> Finding:
    behind = len(chain.waiters) - 1
    subject = gate["relation"] or "database"
    head = chain.head.get("pid", chain.head.get("gid"))
    return Finding(
        check="locks",
        subject=subject,
        severity=_severity(chain, tolerances, stalled=True),
        cause="ddl-queue",
        summary=f"{_waiting(behind)} on {subject} behind a statement (pid {gate['pid']}) that wants the"
        f" table for itself and has waited {format_seconds(gate['waits_s'])} for {_who(chain.head)}.",
        remedy=Remedy(
            text="Cancel the waiting DDL; everybody behind it goes on at once. Repeat it with a lock_timeout of a"
            f" second or less when {_who(chain.head)} has ended.",
            sql=f"SELECT pg_cancel_backend({gate['pid']});",
        ),
        evidence={**_evidence(chain), "ddl_pid": gate["pid"], "ddl": gate["query"], "head": head, "waiting": behind},
        weight=_weight(chain),
    )


def _orphan(chain: Chain, tolerances: Tolerances) -> Finding:
    gid = chain.head["gid"]
    waiting, age = len(chain.waiters), format_seconds(chain.head["prepared_s"])
    return Finding(
        check="locks",
        subject=f"prepared:{gid}",
        severity=_severity(chain, tolerances, stalled=True),
        cause="orphaned-prepared-transaction",
        summary=f"{_waiting(waiting)} for the prepared transaction {gid}, which nobody has ended for {age}.",
        remedy=Remedy(
            text="Ask its transaction manager whether it was to be committed; if nobody knows it any more, roll it"
            " back.",
            sql=f"ROLLBACK PREPARED {_literal(gid)};",
        ),
        evidence={**_evidence(chain), "gid": gid, "prepared_s": round(chain.head["prepared_s"], 1), "waiting": waiting},
        weight=_weight(chain),
    )


def _literal(text: str) -> str:
    """A text as an SQL literal.

    >>> _literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _session(chain: Chain, tolerances: Tolerances) -> Finding:
    head, waiting = chain.head, len(chain.waiters)
    cause, doing = _cause(head)
    stalled = cause != "blocking-session" and head["state_s"] >= tolerances.stalled_s
    application = head["application_name"] or "unnamed"
    own = f"idle_in_transaction:application:{application}"
    end = "terminate" if cause != "blocking-session" else "cancel"
    return Finding(
        check="locks",
        subject=f"application:{application}",
        severity=_severity(chain, tolerances, stalled=stalled),
        cause=cause,
        summary=f"{_waiting(waiting)}, {format_seconds(chain.waits_s)} at the longest, for"
        f" pid {head['pid']} of {application}, which {doing} {format_seconds(head['state_s'] or 0.0)}.",
        remedy=Remedy(
            text=f"End the head of the chain, pid {head['pid']}; those who wait go on by themselves. What it has not"
            " committed is rolled back, so ask its owner first where you can.",
            sql=f"SELECT pg_{end}_backend({head['pid']});",
        ),
        evidence={
            **_evidence(chain),
            "pid": head["pid"],
            "user": head["user_name"],
            "client": head["client"],
            "state": head["state"],
            "state_s": round(head["state_s"] or 0.0, 1),
            "last_statement": head["query"],
            "waiting": waiting,
        },
        weight=_weight(chain),
        symptoms=(own,) if cause == "idle-in-transaction" else (),
    )


def _waiting(sessions: int) -> str:
    return f"{count(sessions, 'session')} {'waits' if sessions == 1 else 'wait'}"


def _cause(head: Mapping[str, Any]) -> tuple[str, str]:
    if str(head["state"]).startswith("idle in transaction"):
        return "idle-in-transaction", "has had a transaction open and done nothing for"
    if head["state"] == "idle" and head["advisory"]:
        return "leaked-advisory-lock", "holds an advisory lock and has done nothing for"
    return "blocking-session", "has been at work for"


def _who(head: Mapping[str, Any]) -> str:
    if "gid" in head:
        return f"the prepared transaction {head['gid']}"
    return f"pid {head['pid']} of {head['application_name'] or 'an unnamed application'} ({head['state']})"


def _severity(chain: Chain, tolerances: Tolerances, *, stalled: bool) -> Severity:
    limit = tolerances.stalled_s if stalled else tolerances.wait_s
    if chain.waits_s < limit:
        return Severity.INFO
    many = stalled and len(chain.waiters) >= 5
    return Severity.CRITICAL if many or chain.waits_s >= tolerances.critical_wait_s else Severity.WARNING


def _weight(chain: Chain) -> float:
    return min(1.0, 0.5 + len(chain.waiters) / 20)


def _evidence(chain: Chain) -> dict[str, Any]:
    return {
        "longest_wait_s": round(chain.waits_s, 1),
        "relation": chain.relation,
        "chain": [
            {"pid": row["pid"], "waits_s": round(row["waits_s"], 1), "behind": row["blockers"], "for": row["mode"]}
            for row in chain.waiters[:10]
        ],
    }


def _row(waiter: Mapping[str, Any], chain: Chain) -> tuple[Any, ...]:
    return (
        format_seconds(waiter["waits_s"]),
        waiter["pid"],
        waiter["application_name"],
        waiter["mode"],
        waiter["relation"] or waiter["locktype"],
        _who(chain.head),
        " ".join((waiter["query"] or "hidden").split())[:100],
    )


def _distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each subject: where an application heads several chains, the worst."""
    ordered = sorted(findings, key=lambda f: (f.severity.weight, f.weight))
    return tuple(reversed({finding.key: finding for finding in ordered}.values()))

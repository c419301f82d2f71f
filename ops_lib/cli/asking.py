"""What somebody sees who is asked to approve a plan."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ops_lib.model.verdict import plain

if TYPE_CHECKING:
    from ops_lib.operations.waiting import Waiting


def question(found: "Waiting") -> Iterator[str]:
    """The plan, whole, on what it would act, who wants it and why; last its digest."""
    terms = found.asking.terms
    yield f"{found.runbook} {plain(found.title)} ({found.hazard}), run {found.run_id}"
    yield from (f"{name:>12}  {value}" for name, value in _facts(found).items())
    yield f"\nIt would do: {plain(terms.plan.title)}"
    for statement in terms.plan.statements:
        yield from (f"    {_harmless(line)}" for line in f"{statement};".splitlines())
    yield from (f"    with {plain(name)} = {plain(value)}" for name, value in terms.plan.values.items())
    yield f"\ndigest {found.digest}"


def _facts(found: "Waiting") -> dict[str, str]:
    terms, demand = found.asking.terms, found.asking.demand
    target = ((name, value) for name, value in terms.target.items() if value is not None)
    return {
        "target": ", ".join(f"{name} {plain(value)}" for name, value in target),
        "asked by": f"{plain(found.who)}, {found.since}",
        "reason": plain(found.reason or "-"),
        "parameters": ", ".join(f"{name}={plain(value)}" for name, value in terms.parameters.items()) or "-",
        "demanded": f"{demand.approvals} {'signed ' if demand.signed else ''}approvals, {found.missing} missing",
        "done so far": ", ".join(map(plain, found.steps_done)) or "no step",
        "touches": ", ".join(map(plain, terms.plan.objects)) or "nothing that could be read from the statements",
    }


def _harmless(line: str) -> str:
    """A line as it is, without what would move a cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in line.expandtabs(4))

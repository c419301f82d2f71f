"""Plans as runbooks make and show them, and the word that lets one be applied."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops_lib.model.errors import BadInput
from ops_lib.model.plan import Plan
from ops_lib.model.result import Result, Table
from ops_lib.postgres.effects import Transaction, json_text


def planned(what: Sequence[str], *, title: str, values: Mapping[str, Any]) -> Plan:
    """The plan of statements, or of `.sql` files of some; BadInput where there is none."""
    from ops_lib.postgres.objects import objects_in, statements_in  # noqa: PLC0415 - its parser is heavy

    statements = [statement for text in what for statement in statements_in(_read(text))]
    if not statements:
        raise BadInput("a plan has at least one statement", hint="give a statement or a file that ends in .sql")
    json_text(dict(values))
    return Plan(title=title, statements=tuple(statements), objects=tuple(objects_in(statements)), values=dict(values))


def _read(text: str) -> str:
    if not text.strip().endswith(".sql"):
        return text
    try:
        return Path(text.strip()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{text.strip()} cannot be read: {error}", hint="paths are from the folder of the run") from None


def apply(plan: Plan, transaction: Transaction) -> dict[str, Any]:
    """How many rows each statement of a plan has changed."""
    values = plan.values or None
    return {"rows": [transaction.change(statement, values) for statement in plan.statements]}


def shown(plan: Plan) -> Result:
    """A plan for the person who is to say yes to it."""
    count = len(plan.statements)
    touched = f", touching {', '.join(plan.objects)}" if plan.objects else ""
    rows = [(number, statement) for number, statement in enumerate(plan.statements, start=1)]
    return Result(
        title=plan.title,
        verdict=f"{count} {'statement' if count == 1 else 'statements'} in one transaction{touched}.",
        table=Table.of(("number", "statement"), rows),
        notes=tuple(f"{name} is {value!r}" for name, value in plan.values.items()),
    )


def approval(told: Mapping[str, Any]) -> Result:
    """On whose word a run goes on."""
    digest = told["digest"][:12]
    if not told["demand"]:
        return Result(title="Approval", verdict=f"The target demands no approval of plan {digest}.")
    broken = [item for item in told["approvals"] if item["kind"] == "break-glass"]
    if broken:
        sentence = f"Break-glass by {broken[0]['who']}: {broken[0]['reason']}. Nobody has approved plan {digest}."
        return Result(title="Approval", verdict=sentence, next_step="Have this run reviewed: runbook review RUN")
    who = ", ".join(f"{item['who']} ({item['how_known']})" for item in told["approvals"])
    return Result(title="Approval", verdict=f"Plan {digest} is approved by {who}.")

"""The commands that check records, hand them on, and take out what must not stay."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from ops_lib import wiring
from ops_lib.cli import render
from ops_lib.cli.desk import recovered
from ops_lib.model.errors import BadInput
from ops_lib.model.times import parse_duration

DOES_NOT_VERIFY = 6


def verify(given: Namespace) -> int:
    from ops_lib.operations.verify import accept_loss, verify, verify_copy  # noqa: PLC0415

    if given.run and Path(given.run).is_dir():
        if given.since:
            raise BadInput("a record folder by itself has no ledger to hold against a head", hint="leave out --since")
        found = verify_copy(wiring.open_desk(archive=given.archive), Path(given.run), keys=given.key)
    else:
        desk = recovered(given)
        if given.accept_loss:
            accept_loss(desk, given.accept_loss)
        found = verify(desk, given.run, keys=given.key, since=given.since)
    render.verification(found, as_json=given.json)
    return DOES_NOT_VERIFY if found.faults else 0


def export(given: Namespace) -> int:
    from ops_lib.operations.export import export  # noqa: PLC0415

    render.text(str(export(recovered(given), given.run, given.to)))
    return 0


def audit(given: Namespace) -> int:
    from ops_lib.operations.audit import audit  # noqa: PLC0415

    made = audit(recovered(given), since=given.since, until=given.until, sample=given.sample, folder=given.to_folder)
    render.audit(made, as_json=given.json)
    return DOES_NOT_VERIFY if made.faults else 0


def prune(given: Namespace) -> int:
    from ops_lib.operations.prune import prunable, prune  # noqa: PLC0415

    act = prune if given.yes else prunable
    older_than = parse_duration(given.older_than)
    found = act(recovered(given), older_than=older_than, keep_last=given.keep_last)
    render.pruned(found, done=given.yes, as_json=given.json)
    return 0


def redact(given: Namespace) -> int:
    from ops_lib.operations.redact import redact  # noqa: PLC0415

    secrets = [wiring.resolve(reference, "--text") for reference in given.text]
    if not secrets and not given.file:
        raise BadInput("nothing is named that should go", hint="give --text env:NAME, --text file:PATH, or --file PATH")
    run_id, files = redact(recovered(given), given.run, reason=given.reason, paths=given.file, secrets=secrets)
    render.redacted(run_id, files)
    return 0


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "verify": verify,
    "export": export,
    "audit": audit,
    "prune": prune,
    "redact": redact,
}

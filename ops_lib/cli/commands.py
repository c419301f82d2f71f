"""The commands: parse, one operation, render. Each imports its operation when it is called."""

import os
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops_lib import wiring
from ops_lib.cli import approvals, evidence, handoffs, lab, migrations, render, timing
from ops_lib.cli.desk import recovered
from ops_lib.cli.outcomes import EXIT_CODES, sealed_or_waiting, show_sealed
from ops_lib.cli.progress import Progress
from ops_lib.model.errors import BadInput
from ops_lib.model.finding import Severity
from ops_lib.model.run import Outcome, Request
from ops_lib.model.search import Label

_FAULTY, _FOUND = 1, 7


def _folders(given: Namespace) -> tuple[Path, ...]:
    return (given.runbooks,) if given.runbooks else wiring.runbook_folders()


def list_runbooks(given: Namespace) -> int:
    from ops_lib.notebooks.catalogue import read_catalogue  # noqa: PLC0415

    render.catalogue(read_catalogue(_folders(given)), as_json=given.json)
    return 0


def show(given: Namespace) -> int:
    from ops_lib.notebooks.catalogue import read_catalogue  # noqa: PLC0415

    render.runbook(read_catalogue(_folders(given)).find(given.id), as_json=given.json)
    return 0


def new(given: Namespace) -> int:
    from ops_lib.operations.author import write_new  # noqa: PLC0415

    folder, owner = given.runbooks or Path("runbooks"), given.owner or wiring.open_desk().who
    path = write_new(folder, given.id, title=given.title, hazard=given.hazard, owner=owner)
    render.text(f"{path}\nedit it in JupyterLab, then: runbook lint {path} && runbook run {given.id}")
    return 0


def lint(given: Namespace) -> int:
    from ops_lib.operations.author import lint_files  # noqa: PLC0415

    remarks = lint_files(given.files, _folders(given), standard=wiring.standard_folder(), strict=given.strict)
    render.remarks(remarks, as_json=given.json)
    return _FAULTY if any(remark.severity == "error" for _, remark in remarks) else 0


def run(given: Namespace) -> int:
    from ops_lib.operations.run import run as run_runbook  # noqa: PLC0415

    desk = recovered(given)
    request = Request(
        runbook=given.id,
        cause=wiring.person(desk),
        target=given.target,
        parameters={**_of_file(given.parameters_file), **_parameters(given.parameters)},
        ambient=wiring.ambient_parameters(),
        reason=given.reason,
        ticket=given.ticket,
        break_glass=given.break_glass,
    )
    sealed = sealed_or_waiting(desk, given, lambda listener: run_runbook(desk, request, listener))
    show_sealed(given, sealed)
    return _exit_code(sealed.record, given.fail_on)


def _parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    twice = {name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1}
    if twice:
        raise BadInput(f"parameter {min(twice)} is given twice", hint="give it once")
    return dict(pairs)


def _of_file(path: Path | None) -> Mapping[str, Any]:
    return wiring.read_parameters(path) if path else {}


def _exit_code(record: Mapping[str, Any], fail_on: str | None) -> int:
    code = EXIT_CODES[Outcome(record["outcome"])]
    if code or fail_on is None:
        return code
    least = Severity(fail_on).weight
    return _FOUND if any(Severity(f["severity"]).weight >= least for f in record["findings"]) else 0


def records(given: Namespace) -> int:
    from ops_lib.operations.browse import documents, list_records  # noqa: PLC0415

    desk = recovered(given)
    asked_for = (Label.RUNBOOK, Label.OUTCOME, Label.TARGET, Label.PERSON, Label.CAUSE)
    labels = {label: getattr(given, label.value) for label in asked_for}
    within = {"since": given.since, "until": given.until, "limit": given.limit}
    with Progress() as progress:
        page = list_records(desk, given.words, labels=labels, **within, say=progress.say)
    if given.json:
        render.document(documents(desk, page))
    else:
        render.records(page, limit=given.limit)
    return 0


def record(given: Namespace) -> int:
    from ops_lib.archive.records import Records  # noqa: PLC0415
    from ops_lib.operations.acknowledge import of_record  # noqa: PLC0415

    desk = recovered(given)
    kept = Records(desk.archive)
    folder = kept.find(given.run)
    content = kept.read(folder)
    standing = () if given.json else of_record(desk, content)
    render.record(content, folder, as_json=given.json, markdown=given.markdown, standing=standing)
    return 0


def diff(given: Namespace) -> int:
    from ops_lib.operations.compare import compare  # noqa: PLC0415

    render.comparison(compare(recovered(given), given.earlier, given.later), as_json=given.json)
    return 0


def reindex(given: Namespace) -> int:
    from ops_lib.operations.browse import reindex as make_index  # noqa: PLC0415

    with Progress() as progress:
        count = make_index(recovered(given), progress.say)
    render.text(f"{count} records are indexed")
    return 0


def demo(given: Namespace) -> int:
    return _DEMO[given.action](given)


def _demo_run(given: Namespace) -> int:
    from ops_lib.operations.demo import play  # noqa: PLC0415

    desk = recovered(given)
    with Progress() as progress:
        sealed = play(desk, wiring.demonstration(), wiring.person(desk), progress.say, progress)
    render.record(sealed.record, sealed.folder, as_json=given.json)
    return EXIT_CODES[Outcome(sealed.record["outcome"])]


def _demo_reset(given: Namespace) -> int:
    from ops_lib.operations.demonstrate import reset  # noqa: PLC0415

    with Progress() as progress:
        reset(wiring.demonstration(), progress.say)
    return _demo_run(given)


def _demo_status(given: Namespace) -> int:
    from ops_lib.operations.demonstrate import status  # noqa: PLC0415

    demonstration = wiring.demonstration()
    render.demonstration(demonstration, status(demonstration), as_json=given.json)
    return 0


def _demo_stop(given: Namespace) -> int:
    with Progress() as progress:
        progress.say("stopping the demonstration database")
        wiring.embedded_server().stop()
    return 0


def _demo_psql(given: Namespace) -> int:
    wiring.embedded_server().start()
    command = wiring.embedded_server().psql(*given.arguments)
    os.execve(command.argv[0], [*command.argv], {**os.environ, **command.env})  # noqa: S606


_DEMO: Mapping[str, Callable[[Namespace], int]] = {
    "run": _demo_run,
    "reset": _demo_reset,
    "status": _demo_status,
    "stop": _demo_stop,
    "psql": _demo_psql,
}


def init(given: Namespace) -> int:
    from ops_lib.operations.init import init as make_folder  # noqa: PLC0415

    render.made(make_folder(given.folder, roles=wiring.standard_folder() / "db/investigation_role.sql"))
    return 0


def doctor(given: Namespace) -> int:
    from ops_lib.operations.doctor import examine  # noqa: PLC0415

    with Progress() as progress:
        progress.say("looking at archive, runbooks and targets")
        answers = [*examine(recovered(given), given.target)]
    render.answers(answers, as_json=given.json)
    return 0 if all(answer.well for answer in answers) else _FAULTY


def daemon(given: Namespace) -> int:
    from ops_lib.daemon import client, server  # noqa: PLC0415

    if given.action == "stop":
        render.daemons(server.stop(os.environ), stopped=True, as_json=given.json)
    else:
        render.daemons([pid for pid, _ in client.daemons(os.environ)], stopped=False, as_json=given.json)
    return 0


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "list": list_runbooks,
    "show": show,
    "new": new,
    "lint": lint,
    "run": run,
    "records": records,
    "record": record,
    "diff": diff,
    **approvals.COMMANDS,
    **handoffs.COMMANDS,
    **evidence.COMMANDS,
    **timing.COMMANDS,
    **lab.COMMANDS,
    **migrations.COMMANDS,
    "reindex": reindex,
    "demo": demo,
    "init": init,
    "doctor": doctor,
    "daemon": daemon,
}

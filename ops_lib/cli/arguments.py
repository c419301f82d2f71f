"""The arguments of every command."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ops_lib.model.run import Outcome
from ops_lib.model.target import Hazard

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Commands = _SubParsersAction[ArgumentParser]

EXIT_CODES = """\
exit codes:
  0    succeeded
  1    failed
  2    bad input, nothing was recorded
  3    refused: a need or a gate said no
  4    waiting for an approval: the run is not over
  5    timed out
  6    verification found something wrong
  7    findings at or above --fail-on
  130  interrupted
"""


@cache
def parser(only: str | None = None) -> ArgumentParser:
    """All commands with their options, or the one that is wanted where its name is known."""
    top = ArgumentParser(
        prog="runbook",
        description="Runbooks that run, prove what they did, and can be undone.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    all_of_them = (
        _list, _show, _new, _lint, _run, _records, _record, _diff, _resume, _waiting, _approve, _review, _handoff,
        _verify, _export, _migrations, _audit, _redact, _prune, _reindex, _tick, _schedule, _lab, _demo, _init, _doctor,
        _daemon,
    )  # fmt: skip
    wanted = [add for add in all_of_them if add.__name__ == f"_{only}"]
    for add in wanted or all_of_them:
        add(commands)
    return top


def _command(commands: "Commands", name: str, text: str) -> ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )


def _with_runbooks(command: ArgumentParser) -> ArgumentParser:
    text = "the folder of the runbooks (default: ./runbooks, then the standard set)"
    command.add_argument("--runbooks", type=Path, metavar="DIR", help=text)
    return command


def _with_archive(command: ArgumentParser) -> ArgumentParser:
    text = "the folder of the archive (default: $RUNBOOK_ARCHIVE, then outputs)"
    command.add_argument("--archive", type=Path, metavar="DIR", help=text)
    return command


def _with_json(command: ArgumentParser) -> ArgumentParser:
    command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return command


def _list(commands: "Commands") -> None:
    _with_json(_with_runbooks(_command(commands, "list", "the runbooks that there are")))


def _show(commands: "Commands") -> None:
    command = _with_runbooks(_command(commands, "show", "what a runbook does, needs and takes"))
    command.add_argument("id", metavar="ID", help="the id or the file's stem, in any case")
    _with_json(command)


def _new(commands: "Commands") -> None:
    command = _with_runbooks(_command(commands, "new", "a runbook to begin with, in ./runbooks"))
    command.add_argument("id", metavar="ID", help="such as SOP-010")
    command.add_argument("--title", help="what it is for, in a few words")
    command.add_argument("--hazard", choices=[*Hazard], default=Hazard.READ_ONLY.value, help="(default: %(default)s)")
    command.add_argument("--owner", help="the team that keeps it (default: you)")


def _lint(commands: "Commands") -> None:
    command = _with_runbooks(_command(commands, "lint", "whether runbooks keep the contract and the style"))
    command.add_argument("files", metavar="FILE", type=Path, nargs="*", help="(default: all of the catalogue)")
    command.add_argument(
        "--strict", action="store_true", help="take every remark for an error, as the standard set does"
    )
    _with_json(command)


def _run(commands: "Commands") -> None:
    command = _with_archive(_with_runbooks(_command(commands, "run", "run a runbook and keep its record")))
    command.add_argument("id", metavar="ID", help="the id or the file's stem, in any case")
    text = "a parameter; see `runbook show ID` for what it takes"
    command.add_argument(
        "-p", dest="parameters", metavar="NAME=VALUE", type=_pair, action="append", default=[], help=text
    )
    text = "more of them from a YAML file; -p goes before it, and RUNBOOK_PARAMETER_NAME in the environment after it"
    command.add_argument("--parameters", dest="parameters_file", metavar="FILE", type=Path, help=text)
    text = "a name from infrastructure/targets.yaml, or a connection string without a password (default: demo)"
    command.add_argument("--target", metavar="NAME|DSN", help=text)
    command.add_argument("--reason", metavar="TEXT", help="why, for the record")
    command.add_argument("--ticket", metavar="T", help="which ticket, for the record")
    command.add_argument("--break-glass", metavar="REASON", type=_reason, help=_GLASS)
    text = "run it in this process, as RUNBOOK_NO_DAEMON=1 does, with a kernel started for it"
    command.add_argument("--no-daemon", action="store_true", help=text)
    text = "exit with 7 where a finding is at least this severe"
    command.add_argument("--fail-on", choices=["warning", "critical"], help=text)
    _with_following(command)


def _records(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "records", "the newest records, or those that hold words"))
    text = (
        "a word that a record must hold, in findings, outputs, SQL, parameters or reasons; lock* for words that begin "
        "so, '\"lock timeout\"' for words that follow each other; - and _ join words, found as one and by their parts"
    )
    command.add_argument("words", metavar="WORD", nargs="*", help=text)
    command.add_argument("--runbook", metavar="ID", help="of this runbook only")
    command.add_argument("--outcome", choices=[*Outcome], help="with this outcome only")
    command.add_argument("--target", metavar="NAME", help="on this target or database only")
    command.add_argument("--person", metavar="WHO", help="asked for or approved by this person only")
    text = "asked for by a person, schedule, alert or handoff; or with a finding of this cause, such as missing-index"
    command.add_argument("--cause", metavar="CAUSE", help=text)
    command.add_argument("--since", metavar="T", help="since a time or within a duration, such as 7d")
    command.add_argument("--until", metavar="T", help="until a time or a duration ago")
    command.add_argument("--limit", type=_count, default=20, metavar="N", help="how many (default: %(default)s)")
    _with_json(command)


def _record(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "record", "what one run found, on one screen"))
    command.add_argument(
        "run", metavar="RUN", nargs="?", default="last", help="its id, the end of it, or last (default)"
    )
    command.add_argument("--markdown", action="store_true", help="for a chat or a ticket")
    _with_json(command)


def _diff(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "diff", "what is different between two runs"))
    for name, text in (("earlier", "the run before: its id or the end of it"), ("later", "the run after it, or last")):
        command.add_argument(name, metavar=f"RUN_{'AB'[name == 'later']}", help=text)
    _with_json(command)


_GLASS = "go on without the approval that the target demands; it is shown everywhere, and owed a review"


def _resume(commands: "Commands") -> None:
    text = "a run that did not succeed, again from the top, without the steps that ended"
    command = _with_archive(_with_runbooks(_command(commands, "resume", text)))
    command.add_argument("run", metavar="RUN", help="its id, the end of it, or last; the newest of its chain is taken")
    text = "what you have seen of a step of which nobody else can tell"
    command.add_argument("--step", metavar="NAME=done|redo", type=_pair, action="append", default=[], help=text)
    command.add_argument("--reason", metavar="TEXT", help="why, for the record (default: as before)")
    command.add_argument("--break-glass", metavar="REASON", type=_reason, help=_GLASS)
    _with_following(command)


def _waiting(commands: "Commands") -> None:
    _with_json(_with_archive(_command(commands, "waiting", "the runs that wait for an approval, and what is owed")))


def _approve(commands: "Commands") -> None:
    text = "the plan of a run that waits: see it, say yes, and let the run go on"
    command = _with_archive(_with_runbooks(_command(commands, "approve", text)))
    command.add_argument("run", metavar="RUN", help="its id, or the end of it")
    text = "yes to this digest, for scripts: it has to be given, so that nobody approves what he has not seen"
    command.add_argument("--yes", metavar="DIGEST", help=text)
    command.add_argument("--for", dest="length", metavar="TIME", help="how long it holds (default: 8h, at most 7d)")
    text = "your SSH key, where the target wants approvals signed (default: ~/.ssh/id_ed25519)"
    command.add_argument("--key", metavar="FILE", type=Path, help=text)
    text = "cover later runs of the same terms too, until --for is over (at most 366d)"
    command.add_argument("--standing", action="store_true", help=text)
    text = "a parameter that may differ in those: days=1..9, or part=staging,mart"
    command.add_argument("--bound", metavar="NAME=BOUND", type=_pair, action="append", default=[], help=text)
    command.add_argument("--decline", metavar="REASON", type=_reason, help="say no: the run is sealed as refused")
    command.add_argument("--break-glass", metavar="REASON", type=_reason, help=_GLASS)
    _with_following(command)


def _review(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "review", "look at a run that broke the glass, and say so"))
    command.add_argument("run", metavar="RUN", help="its id, or the end of it")
    command.add_argument("--note", required=True, metavar="TEXT", type=_reason, help="what you have found")
    command.add_argument("--key", metavar="FILE", type=Path, help="your SSH key, where the target wants it signed")


def _handoff(commands: "Commands") -> None:
    text = "what teams hand to each other, which is owed until it is acknowledged"
    top = _command(commands, "handoff", text).add_subparsers(dest="action", required=True, metavar="ACTION")
    every = _with_json(_with_archive(_command(top, "list", "the handoffs that are owed, the oldest first")))
    every.add_argument("--all", action="store_true", help="those that were acknowledged or rejected too")
    shown = _with_archive(_command(top, "show", "one handoff, with its message"))
    form = shown.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    form.add_argument("--yaml", action="store_true", help="print the message and nothing else")
    ack = _with_archive(_command(top, "ack", "say that it has arrived, and is taken"))
    ack.add_argument("--note", metavar="TEXT", type=_reason, help="what its sender should know")
    reject = _with_archive(_command(top, "reject", "say that it is not taken, and why"))
    reject.add_argument("--reason", required=True, metavar="TEXT", type=_reason, help="why, for good in the ledger")
    for command in (shown, ack, reject):
        command.add_argument("id", metavar="ID", help="its id, or the end of it")
    send = _with_archive(_command(top, "send", "enter one that another team has written"))
    send.add_argument("--reason", metavar="TEXT", type=_reason, help="why, for the ledger")
    for command in (send, _command(top, "check", "whether a file is a handoff, and whose")):
        command.add_argument("file", metavar="FILE", type=Path, help="YAML as the handbook writes it")
        command.add_argument("--to", metavar="TEAM", help="who shall get it (default: as it says, or as was agreed)")


def _reindex(commands: "Commands") -> None:
    _with_archive(_command(commands, "reindex", "make the search index from nothing"))


def _verify(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "verify", "whether records are what was signed"))
    text = "one run, or a record's folder wherever it is (default: the whole archive)"
    command.add_argument("run", metavar="RUN|FOLDER", nargs="?", help=text)
    text = "a public key that you had before, or a file of some (default: yours, and those in the archive)"
    command.add_argument("--key", metavar="KEY", action="append", default=[], help=text)
    text = "a signed head that was kept elsewhere, as a file or its text: the archive must begin with it"
    command.add_argument("--since", metavar="HEAD", action="append", default=[], help=text)
    text = "go on with an older archive, since the newer one is lost for good; the ledger will say so"
    command.add_argument("--accept-loss", metavar="REASON", help=text)
    _with_json(command)


def _export(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "export", "one zip of a record, with what it takes to check it"))
    command.add_argument("run", metavar="RUN", help="its id, the end of it, or last")
    command.add_argument("--to", type=Path, metavar="FILE.zip", help="(default: RUN.zip in this folder)")


def _audit(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "audit", "every run of a period for an auditor, with evidence"))
    command.add_argument("--from", dest="since", required=True, metavar="D", help="the first day, such as 2026-01-01")
    command.add_argument("--to", dest="until", required=True, metavar="D", help="the last day")
    command.add_argument(
        "--sample", type=_amount, default=0, metavar="N", help="how many records to export as evidence"
    )
    command.add_argument("--to-folder", type=Path, metavar="DIR", help="(default: audit-D-D in this folder)")
    _with_json(command)


def _migrations(commands: "Commands") -> None:
    command = _command(
        commands, "migrations", "how a database stands to its migrations, what they lock, and their way back"
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "what a database has had of a folder of migrations, and what it has not"
    status = _command(actions, "status", text)
    text = "the folder, or an alembic.ini (default: %(default)s)"
    status.add_argument("--migrations", type=Path, default=Path("db"), metavar="PATH", help=text)
    lint = _command(actions, "lint", f"what files would lock, lose or open; {7} where a remark is above info")
    lint.add_argument("files", type=Path, nargs="+", metavar="FILE", help="in the order in which they would be applied")
    lint.add_argument("--write", type=Path, metavar="DIR", help="write the files that do the same safely")
    for each in (status, lint):
        each.add_argument("--target", metavar="NAME|DSN", help="the database that it is about")
    audit = _command(actions, "audit", "whether each file of a history leads back: up, down and up, on a copy")
    audit.add_argument("path", type=Path, metavar="PATH", help="the folder, or an alembic.ini")
    text = "a server on which databases of our own may be made (default: one of our own, gone afterwards)"
    audit.add_argument("--scratch", metavar="NAME|DSN", help=text)
    for each in (status, lint, audit):
        _with_json(each)


def _prune(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "prune", "remove old records; only says which, unless told --yes"))
    text = "how old a record must be (default: %(default)s)"
    command.add_argument("--older-than", default="400d", metavar="TIME", help=text)
    text = "how many stay of each runbook on each target (default: %(default)s)"
    command.add_argument("--keep-last", type=int, default=10, metavar="N", help=text)
    command.add_argument("--yes", action="store_true", help="remove them")
    _with_json(command)


def _redact(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "redact", "purge from a record what must not be in it"))
    command.add_argument("run", metavar="RUN", help="its id, the end of it, or last")
    command.add_argument("--reason", required=True, metavar="TEXT", help="why, for good in the ledger")
    text = "a file of the record that goes whole, such as attachments/dump.txt"
    command.add_argument("--file", metavar="PATH", action="append", default=[], help=text)
    text = "a secret that goes wherever it stands: env:NAME or file:PATH, since arguments are public"
    command.add_argument("--text", metavar="REFERENCE", action="append", default=[], help=text)


def _tick(commands: "Commands") -> None:
    text = "run what is due, once, whoever else does so; 1 where a run did not succeed"
    _with_json(_with_runbooks(_with_archive(_command(commands, "tick", text))))


def _schedule(commands: "Commands") -> None:
    command = _with_archive(_with_runbooks(_command(commands, "schedule", "what is due when, and what ran last")))
    text = "show (default), or export: what to install so that something ticks every minute"
    command.add_argument("action", choices=["show", "export"], nargs="?", default="show", help=text)
    command.add_argument("form", choices=["cron", "systemd"], nargs="?", help="for whom to export (default: cron)")
    _with_json(command)


def _lab(commands: "Commands") -> None:
    command = _with_archive(_with_runbooks(_command(commands, "lab", "a runbook in JupyterLab, recorded like any run")))
    text = "the id or the file's stem, in any case (default: all that take no parameter)"
    command.add_argument("id", metavar="ID", nargs="?", help=text)
    text = "a parameter's value (repeat for more)"
    command.add_argument("-p", dest="parameters", type=_pair, action="append", default=[], metavar="N=V", help=text)
    command.add_argument("--target", metavar="NAME|DSN", help="what to act on (default: the demonstration)")
    command.add_argument("--reason", metavar="TEXT", help="why, for the record")
    command.add_argument("--ticket", metavar="T", help="the ticket, for the record")
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--port", type=_count, metavar="N", help="the port to listen on (default: the next free one)")


def _demo(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "demo", "a real database with a real fault, and its investigation"))
    text = "run it (default); status, stop, reset (from nothing again), or psql ARGS"
    command.add_argument(
        "action", choices=["run", "status", "stop", "reset", "psql"], nargs="?", default="run", help=text
    )
    command.add_argument("arguments", nargs="...", metavar="ARGS", help="what psql is given")
    _with_json(command)


def _init(commands: "Commands") -> None:
    command = _command(commands, "init", "what a team needs to begin, in this folder")
    command.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="DIR", help="(default: this folder)")


def _doctor(commands: "Commands") -> None:
    command = _with_archive(_command(commands, "doctor", "whether everything that runs need is there"))
    command.add_argument("--target", metavar="NAME|DSN", help="look at this target too")
    _with_json(command)


def _daemon(commands: "Commands") -> None:
    command = _command(commands, "daemon", "the process that keeps kernels ready, so that runs begin at once")
    text = "status (default), or stop: end it, and ask the runs that it carries to stop"
    actions = ["status", "stop", "serve-in-background"]
    command.add_argument("action", choices=actions, nargs="?", default="status", metavar="{status,stop}", help=text)
    _with_json(command)


def _with_following(command: ArgumentParser) -> None:
    """How a run is told of while it goes on, and when it is over."""
    text = "show output as it comes, with a bar: which question, and how long against earlier runs"
    command.add_argument("--follow", action="store_true", help=text)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    text = "print what happens as it happens, one JSON document a line; the last one holds the record"
    form.add_argument("--json-lines", action="store_true", help=text)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _amount(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return int(text)


def _reason(text: str) -> str:
    if not text.strip():
        raise ArgumentTypeError("is empty: say why, in a few words")
    return text.strip()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)

"""Secrets: forty of different shapes, through every way out of a run that there is, leave no byte in the archive.

What is looked for is written down here once more, apart from the code under test. Pixels of pictures are left out.
"""

# ruff: noqa: E501 -- cells are written as their author would

import base64
import gzip
import html
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from ops_lib.archive.staging import Staging
from ops_lib.archive.verification import verify_archive
from ops_lib.model.redaction import Redactor
from ops_lib.model.run import CellStatus, Request
from ops_lib.model.target import Login
from ops_lib.model.ulid import make
from ops_lib.operations.desk import Desk
from ops_lib.operations.recover import recover
from ops_lib.operations.run import declare_intent, run
from ops_lib.operations.supervisor import Supervisor

WriteRunbook = Callable[..., Request]

PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n".format(
    "\n".join(base64.b64encode(bytes(range(n, n + 48))).decode() for n in range(0, 192, 16))
)
SECRETS = [
    "kq7w", "zx9!qv", "swordfish77", "correct horse battery staple", "hunter2-hunter2", "h" * 9 + "x", "tr0ub4dor&3",
    "Pä$$wörterbuch", "пароль-сложный", "密码是秘密的东西", "🔑🗝️🔐🔒-keys", "it's o'clock", 'say "friend"', "back\\slash\\es",
    "C:\\new\\table", "100%sure%20ok", "%s%d%(name)s!", "{curly}{braces}", "$HOME/`id`$(id)", "tab\there\tthere",
    "first line\nsecond line\nthird line", PEM, "  spaces around  ", ".*+?^${}()|[]\\x", '{"user": "ana", "pw": "geheim77"}',
    '["list", "of-things"]', "c2VjcmV0LWtleS1tYXRlcmlhbA==", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "<b>bold&brave</b>", "&lt;entity&gt;", "<!-- comment -->x", "815937264051", "0xDEADBEEFCAFE", "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "postgresql://ana:sup3r%40geheim@db.example:5432/platform", "host=db user=ana password=wasser77fall",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "null-ish\x1b[31mred", "semi;colon--comment/*x*/",
]  # fmt: skip


def told_forms(secret: str) -> set[str]:
    """The encodings that this project says it hides."""
    raw = secret.encode()
    forms = {
        secret, quote(secret, safe=""), quote(secret), quote_plus(secret), raw.hex(), raw.hex().upper(),
        json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1],
        html.escape(secret), html.escape(secret, quote=False),
    }  # fmt: skip
    for offset in range(3):
        first, last = (offset * 8 + 5) // 6, (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(offset) + raw).decode()[first:last])
    forms |= {line for line in secret.splitlines() if len(line) >= 4}
    return {form for form in forms if len(form) >= 5 or form == secret}


def everything(archive: Path) -> Iterator[tuple[Path, bytes]]:
    """Names and contents of all files, unpacked where they are packed."""
    for path in archive.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            yield path, str(path.relative_to(archive)).encode() + b"\n" + raw
            if raw.startswith(b"\x1f\x8b"):
                yield path, gzip.decompress(raw)


def leaks(archive: Path, secrets: list[str]) -> list[str]:
    """Which secret is found in which form in which file."""
    contents = [*everything(archive)]
    return [
        f"{secret!r} as {form!r} in {path.name}"
        for secret in secrets
        for form in told_forms(secret)
        for path, content in contents
        if form.encode() in content
    ]


def outputs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each cell of a record shows."""
    notebook = json.loads((folder / "notebook.ipynb").read_bytes())
    return {cell["id"]: cell.get("outputs") or [] for cell in notebook["cells"]}


def streams(shown: list[dict[str, Any]]) -> list[str]:
    """The texts of a cell's two streams, each as one, whatever came between its pieces."""
    pieces = [output for output in shown if output["output_type"] == "stream"]
    return ["".join(piece["text"] for piece in pieces if piece["name"] == name) for name in ("stdout", "stderr")]


CHANNELS = {
    "printed": "for s in S: print(s); print('x', s, 'y')",
    "listed and shown as a dictionary": "print(S); display({n: s for n, s in enumerate(S)}, [{s: 1} for s in S])",
    "letter by letter": "for s in S:\n    for letter in s: print(letter, end='', flush=True)\n    print()",
    "in halves": "for s in S: print(s[:len(s)//2], end='', flush=True); print(s[len(s)//2:], flush=True)",
    "letter by letter, errors in between":
        "for s in S[:12]:\n    for letter in s: print(letter, end='', flush=True); print('.', end='', file=sys.stderr, flush=True)\n"
        "    print()",
    "split around a changed display":
        "h = display('one', display_id=True)\nfor s in S:\n    print(s[:3], end='', flush=True); h.update('two'); print(s[3:])",
    "on standard error": "for s in S: print(s, file=sys.stderr)",
    "logged": "logging.basicConfig(force=True)\nfor s in S: logging.error('failed with %s', s); logging.error('%r', s)",
    "in a frame": "pd.DataFrame({'name': S, 'n': range(len(S))})",
    "in a frame as text": "print(pd.DataFrame({'name': S}).to_string()); print(pd.Series(S).to_json()); print(pd.Series(S).to_csv())",
    "as html and markdown":
        "from IPython.display import HTML, Markdown, Pretty, JSON, SVG, Javascript\nimport html\n"
        "for s in S: display(HTML('<p>' + html.escape(s) + '</p>'), HTML(f'<p>{s}</p>'), Markdown(s), Pretty(s), JSON({'k': s}))",
    "as a display's change": "h = display('x', display_id=True)\nfor s in S: h.update(s)\nh.update(S)",
    "as a plot's title":
        "import matplotlib; matplotlib.use('svg'); import matplotlib.pyplot as plt, io\nplt.rcParams['svg.fonttype'] = 'none'\n"
        "for s in [x for x in S if '$' not in x and '\\n' not in x and x.isascii() and x.isprintable()][:12]:\n"
        "    figure = plt.figure(); plt.title(s); out = io.StringIO(); figure.savefig(out, format='svg'); plt.close(figure)\n"
        "    display({'image/svg+xml': out.getvalue(), 'text/plain': repr(figure) + s}, raw=True)",
    "as metadata": "for s in S: display({'text/plain': 'x'}, metadata={'text/plain': {'k': s}, s: 1}, raw=True)",
    "as a statement":
        "for s in S: ask('statement', sql='ALTER ROLE x PASSWORD \\'' + s.replace(\"'\", \"''\") + '\\'', seconds=0.1)",
    "as an argument of a program, and what it prints":
        "for s in S:\n    print(subprocess.run(['echo', s], capture_output=True, text=True)); subprocess.run(['printf', '%s\\n', s])",
    "in a dump of the environment": "for n, s in enumerate(S): os.environ[f'X{n}'] = s\nprint(dict(os.environ)); os.system('env')",
    "as a note": "for s in S: ask('note', text=s); ask('note', text='a remark: ' + s + '!')",
    "attached":
        "import gzip\nfor n, s in enumerate(S):\n"
        "    text = ('a file\\n' + s + '\\n' + base64.b64encode(b'u:' + s.encode()).decode() + '\\n' + s.encode().hex()).encode()\n"
        "    for name, raw in ((f'{n}.txt', text), (f'{n}.gz', gzip.compress(text)), (f'{n}.bin', b'\\xff\\xfe' + text),\n"
        "                      (f'{n}.txt.gz.gz', gzip.compress(gzip.compress(text)))):\n"
        "        ask('attach', name=name, content=base64.b64encode(raw).decode())",
    "as an attachment's name": "ask('attach', name='swordfish77.txt', content='aGk='); ask('attach', name='AKIAIOSFODNN7EXAMPLE', content='aGk=')",
    "as a step's name and evidence":
        "for n, s in enumerate(S):\n    name = f'{n} {s}'[:150]; ask('step-begin', name=name)\n"
        "    ask('step-end', name=name, status='done', evidence={'k': s, s: [s, 815937264051]})",
    "in a result":
        "from ops_lib.model.result import Result, Table; from ops_lib.notebooks.display import mimebundle\n"
        "for s in S: display(mimebundle(Result(title=s, verdict='it is ' + s, notes=(s,), next_step=s,\n"
        "    table=Table.of(['a', s], [[s, 1], [repr(s), 2]]))), raw=True)",
    "in a refusal's words":
        "from ops_lib.model.errors import Refused\nfor s in S:\n    try: raise Refused('does not hold: ' + s, hint=s)\n"
        "    except Refused as error: get_ipython().showtraceback()",
    "in exceptions and their causes":
        "for s in S:\n    try:\n        try: raise KeyError(s)\n        except KeyError as error: raise ValueError('because of ' + s) from error\n"
        "    except ValueError: get_ipython().showtraceback(); traceback.print_exc()",
    "in a traceback with its variables":
        "for s in S:\n    try: (lambda password: 1 / 0)(s)\n    except ZeroDivisionError:\n"
        "        print(''.join(traceback.TracebackException(*sys.exc_info(), capture_locals=True).format()))",
    "encoded":
        "from urllib.parse import quote, quote_plus\nfor s in S:\n    raw = s.encode()\n"
        "    print(quote(s, safe=''), quote(s), quote_plus(s), raw.hex(), raw.hex().upper(), json.dumps(s), repr(s), ascii(s))\n"
        "    for before in (b'', b'u', b'u:'): print(base64.b64encode(before + raw), base64.urlsafe_b64encode(before + raw + b'x'))",
    "encoded, letter by letter":
        "for s in S[:8]:\n    for letter in s.encode().hex() + ' ' + base64.b64encode(b'u' + s.encode()).decode(): print(letter, end='', flush=True)\n"
        "    print()",
    "cut up by colours and controls": "for s in S: print(s[:3] + '\\x1b[0m' + s[3:]); print(s[:2] + '\\x00' + s[2:])",
    "in several lines of one output": "for s in S: display({'text/plain': ['x' + s[:3], s[3:] + 'y']}, raw=True)",
    "raised": "raise RuntimeError(' and '.join(S))",
}  # fmt: skip
SETUP = (
    "import base64, json, logging, os, subprocess, sys, traceback\nimport pandas as pd\n"
    "pd.set_option('display.max_colwidth', None); pd.set_option('display.max_rows', None)\n"
    "from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"
    "S = json.loads(base64.b64decode(open({path!r}).read()))\nfor s in S: ask('secret', value=s)"
)


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk whose kernels do not know that they are tested: ipykernel would not capture what children print."""
    known = {name: value for name, value in desk.environment.items() if name != "PYTEST_CURRENT_TEST"}
    return replace(desk, environment=known)


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that is no part of the archive, in which the secrets may lie."""
    folder = Path(tempfile.mkdtemp(prefix="canaries-"))
    yield folder
    shutil.rmtree(folder)


def setup(outside: Path, secrets: list[str] = SECRETS) -> str:
    """The first cell of a runbook: it reads the secrets and makes them known."""
    path = outside / "secrets"
    path.write_bytes(base64.b64encode(json.dumps(secrets).encode()))
    return SETUP.format(path=str(path))


def test_canaries_leave_no_byte(
    desk: Desk, write_runbook: WriteRunbook, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forty secrets through thirty ways out: none in any file, and the record is sealed, readable and true."""
    sealed = run(desk, write_runbook(setup(outside), *CHANNELS.values(), timeout="120s"))
    statuses = [cell["status"] for cell in sealed.record["cells"]]
    assert statuses == ["ok"] * len(CHANNELS) + ["failed"], sealed.record["error"]
    assert len(SECRETS) == 40
    found = leaks(desk.archive, SECRETS)
    assert not found, (len(found), found[:20])
    joined = "\n".join(text for shown in outputs(sealed.folder).values() for text in streams(shown))
    assert [secret for secret in SECRETS if secret in joined] == []
    assert verify_archive(desk.archive).faults == ()
    hidden = sealed.record["hidden"]
    assert hidden["count"] > len(SECRETS) * 20
    assert b"hidden:secret" in (sealed.folder / "report.html").read_bytes()
    with capsys.disabled():
        forms = sum(len(told_forms(secret)) for secret in SECRETS)
        sys.stderr.write(
            f" {len(SECRETS)} secrets x {len(CHANNELS)} channels, {forms} forms, {hidden['count']} hidden "
        )


def test_every_channel_would_leak(
    desk: Desk, write_runbook: WriteRunbook, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: secrets that nobody made known are found in what each of the cells has stored."""
    for module in ("model.redaction", "operations.supervisor"):
        monkeypatch.setattr(f"ops_lib.{module}.passwords_in", lambda text: ())
    secrets = ["swordfish77", "AKIAIOSFODNN7EXAMPLE"]
    untold = setup(outside, secrets).replace("ask('secret', value=s)", "pass")
    sealed = run(desk, write_runbook(untold, *CHANNELS.values(), timeout="120s"))
    shown = outputs(sealed.folder)
    stored: dict[str, str] = {}
    cell = ""
    for line in (sealed.folder / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        cell = event["cell"] if event["kind"] == "cell-began" else cell
        stored[cell] = stored.get(cell, "") + line
        if event["kind"] == "attachment":
            stored[cell] += repr(gzip_open((sealed.folder / "attachments" / event["name"]).read_bytes()))
    for number, name in enumerate(CHANNELS, start=1):
        seen = stored[f"c{number}"] + json.dumps(shown[f"c{number}"]) + "".join(streams(shown[f"c{number}"]))
        seen = seen.replace("\\u001b[0m", "").replace("\\u0000", "").replace('", "', "")
        assert any(form in seen for secret in secrets for form in told_forms(secret)), name


def gzip_open(raw: bytes) -> bytes:
    return gzip_open(gzip.decompress(raw)) if raw.startswith(b"\x1f\x8b") else raw


def test_what_becomes_known_late_is_hidden_at_sealing(desk: Desk, write_runbook: WriteRunbook, outside: Path) -> None:
    """Values that were stored before they were declared secret are found in journal, notebook and attachments."""
    (outside / "late").write_text("a-late-secret-77")
    cells = (
        (
            "import base64, gzip, os; from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"
            f"s = open({str(outside / 'late')!r}).read()"
        ),
        (
            "print(s); ask('note', text=s); ask('step-begin', name=s); ask('step-end', name=s, status='done', evidence=[s])\n"
            "ask('attach', name='a.gz', content=base64.b64encode(gzip.compress(s.encode())).decode())"
        ),
        "ask('secret', value=s)",
    )
    sealed = run(desk, write_runbook(*cells))
    assert sealed.record["outcome"] == "succeeded"
    assert leaks(desk.archive, ["a-late-secret-77"]) == []
    assert sealed.record["hidden"] == {"count": 6, "kinds": ["secret"]}
    assert sealed.record["steps"][0]["name"] == "[hidden:secret]"
    assert verify_archive(desk.archive).faults == ()


def test_what_is_secret_before_a_run_begins(desk: Desk, write_runbook: WriteRunbook, outside: Path) -> None:
    """The environment, libpq's password and service files, and what a cell gives to `secret` as it stands."""
    home = outside / "home"
    home.mkdir()
    (home / ".pgpass").write_text("# note\ndb:5432:*:ana:from\\:pgpass-99\n")
    (home / ".pg_service.conf").write_text("[prod]\nhost=db\npassword=from-service-88\n")
    secrets = ["environ-ment-66", "url-pass-55", "from:pgpass-99", "from-service-88", "lite" + "ral-33-secret"]
    given = {
        "API_TOKEN": secrets[0],
        "DATABASE_URL": f"postgres://u:{secrets[1]}@h/d",
        "HOME": str(home),
        "SHORT_KEY": "abc",
    }
    told = replace(
        desk,
        environment={**desk.environment, **given},
        reach=lambda *_: Login(keywords={"host": "/nonexistent", "user": "ana"}),
    )  # fmt: skip
    request = write_runbook(
        f"secret({secrets[4]!r})", front="needs: [target:postgres]", declares="where: str = 'x'  # which",
        parameters={"where": f"at {secrets[0]}"}, reason=f"{secrets[0]} and {secrets[2]}", ticket=secrets[3],
    )  # fmt: skip
    sealed = run(told, replace(request, reason=f"{request.reason} {secrets[1]}"))
    assert sealed.record["outcome"] == "refused"
    assert leaks(desk.archive, secrets) == []
    assert sealed.record["parameters"] == {"where": "at [hidden:environment]"}
    assert sealed.record["hidden"]["kinds"] == ["environment", "password", "secret"]


def test_passwords_that_nobody_made_known(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A password in a statement is hidden by where it stands, and from then on everywhere."""
    cell = (
        "import os; from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"
        "s = 'un' + 'told' + '-7' * 2\nask('statement', sql=f\"CREATE ROLE x LOGIN PASSWORD '{s}' VALID UNTIL 'tomorrow'\", seconds=1)\n"
        "print('the server says', s)"
    )
    sealed = run(
        desk, write_runbook(cell, "u = 'addr' + 'ess-88'; print(f'connect to postgresql://ana:{u}@db/x failed')")
    )
    assert leaks(desk.archive, ["untold-7-7", "address-88"]) == []
    assert (
        sealed.record["statements"][0]["sql"]
        == "CREATE ROLE x LOGIN PASSWORD '[hidden:password]' VALID UNTIL 'tomorrow'"
    )


def test_a_password_that_is_a_word_of_the_format_breaks_nothing(desk: Desk, write_runbook: WriteRunbook) -> None:
    """A weak password hides itself in what people write, and leaves the record's own words readable."""
    words = ["postgres", "password", "cells", "stdout", "succeeded", "output", "title", "critical", "hidden"]
    cell = (
        "import os; from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"
        f"for word in {words!r}: ask('secret', value=word)\nprint('the password is postgres, in short')"
    )
    sealed = run(desk, write_runbook(cell, "from ops_lib.runbook import show; show('one')"))
    assert sealed.record["outcome"] == "succeeded"
    assert b"is postgres, in short" not in (sealed.folder / "notebook.ipynb").read_bytes()
    assert verify_archive(desk.archive).faults == ()


@pytest.mark.parametrize("killed_after", ["output", "half a secret"])
def test_recovery_hides_what_the_target_tells(desk: Desk, write_runbook: WriteRunbook, killed_after: str) -> None:
    """A supervisor that was killed has hidden what it knew; its successor asks for the target's password again."""
    staging = Staging.create(desk.archive, make(desk.clock(), desk.randomness(10)))
    redactor = Redactor()
    redactor.register("known-before-11")
    supervisor = Supervisor(desk, staging, redactor, lambda event: None)
    supervisor.journal("opened", durable=True, run_id=staging.run_id, software={}, runbook=RUNBOOK, cause=CAUSE, reason=None,
                       ticket=None, parameters={}, target=TARGET)  # fmt: skip
    declare_intent(desk, staging)
    supervisor.journal("target", target=TARGET, application_name="x", given="demo")
    supervisor.cell_began("c0")
    supervisor.output("c0", "stream", {"name": "stdout", "text": "the-password-22 and known-before-11\n"})
    if killed_after == "half a secret":
        supervisor.output("c0", "stream", {"name": "stdout", "text": "known-be"})
    staging.close()
    login = Login(keywords={"host": "/nonexistent"}, password="the-password-22")
    assert recover(replace(desk, reach=lambda *_: login)).sealed == (staging.run_id,)
    assert leaks(desk.archive, ["the-password-22", "known-before-11"]) == []
    record = json.loads(next(desk.archive.rglob("record.json")).read_bytes())
    assert record["hidden"] == {"count": 2, "kinds": ["password", "secret"]}


RUNBOOK = {
    "id": "TST-001",
    "title": "A test",
    "hazard": "read-only",
    "owner": "ana",
    "file": "x",
    "sha256": "0",
    "commit": None,
}
CAUSE = {"kind": "person", "who": "ana", "how_known": "test"}
TARGET = {
    "name": "demo",
    "kind": "postgres",
    "system_identifier": None,
    "database": None,
    "server_version": None,
    "guard": None,
}


def test_output_that_no_json_can_hold_is_kept_as_far_as_it_can(desk: Desk, write_runbook: WriteRunbook) -> None:
    """Half characters, numbers that are none, depth without end and results that are none do not end a run."""
    cell = (
        "import os, json; from ops_lib.notebooks.channel import Client; ask = Client(os.environ['RUNBOOK_CHANNEL']).ask\n"
        "ask('note', text='half \\ud800 a character')\n"
        "ask('step-begin', name='one'); ask('step-end', name='one', status='done', evidence={'x': float('nan')})\n"
        "from ops_lib.model.result import MIME_TYPE\n"
        "display({MIME_TYPE: {'findings': [{}]}, 'text/plain': 'no result'}, raw=True)\n"
        "deep = []\nfor _ in range(600): deep = [deep]\n"
        "display({'application/json': deep, 'text/plain': 'deep'}, raw=True)\nask('note', text='after')"
    )
    sealed = run(desk, write_runbook(cell))
    assert sealed.record["outcome"] == "succeeded", sealed.record["error"]
    assert sealed.record["steps"][0]["evidence"] == {"x": None}
    assert verify_archive(desk.archive).faults == ()


def test_ipython_keeps_no_history_and_scratch_is_gone(desk: Desk, write_runbook: WriteRunbook, outside: Path) -> None:
    """What a cell holds is written to no file of Jupyter's, and the connection file is removed."""
    places = {
        "HOME": str(outside),
        "IPYTHONDIR": str(outside / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(outside / "runtime"),
    }
    scratch = outside / "scratch"
    told = replace(desk, environment={**desk.environment, **places}, scratch=lambda _: scratch)
    sealed = run(
        told, write_runbook("s = 'histo' + 'ry-secret'", "history_secret = 1; get_ipython().history_manager.enabled")
    )
    assert sealed.record["outcome"] == "succeeded"
    assert not scratch.exists()
    assert leaks(outside, ["history_secret"]) == []
    assert not list(outside.rglob("history.sqlite"))


def test_what_a_child_prints_stays_off_the_supervisors_own_output(
    desk: Desk, write_runbook: WriteRunbook, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--json` prints one document and nothing else, and no log of the command holds what a cell has printed."""
    sealed = run(desk, write_runbook("import os; os.system('set -- a; echo from-$1-child; echo its-$1-errors >&2')"))
    assert sealed.record["outcome"] == "succeeded"
    assert b"from-a-child" in (sealed.folder / "notebook.ipynb").read_bytes()
    printed = capfd.readouterr()
    assert "from-a-child" not in printed.out + printed.err
    assert "its-a-errors" not in printed.out + printed.err


def supervised(desk: Desk, *secrets: str) -> Supervisor:
    """A supervisor without a kernel, that knows some secrets."""
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    staging = Staging.create(desk.archive, make(desk.clock(), desk.randomness(10)))
    supervisor = Supervisor(desk, staging, redactor, lambda event: None)
    supervisor.cell_began("c0")
    return supervisor


def texts(supervisor: Supervisor) -> list[str]:
    return [event["content"]["text"] for event in supervisor.staging.events if event["kind"] == "output"]


def test_nothing_waits_where_no_secret_is_known(desk: Desk) -> None:
    """What is printed is journalled as it arrives."""
    supervisor = supervised(desk)
    for letter in "hunter2":
        supervisor.output("c0", "stream", {"name": "stdout", "text": letter})
    assert texts(supervisor) == list("hunter2")


def test_the_beginning_of_a_secret_waits_and_is_never_lost(desk: Desk) -> None:
    """It is let go by what cannot follow, by another output, and by the end of the cell."""
    supervisor = supervised(desk, "hunter2")
    supervisor.output("c0", "stream", {"name": "stdout", "text": "to hun"})
    assert texts(supervisor) == ["to "]
    supervisor.output("c0", "stream", {"name": "stdout", "text": "gry; hunt"})
    assert texts(supervisor) == ["to ", "hun", "gry; "]
    supervisor.output("c0", "display_data", {"data": {"text/plain": "x"}, "metadata": {}})
    supervisor.output("c0", "stream", {"name": "stdout", "text": "hunte"})
    supervisor.cell_ended("c0", CellStatus.OK, 1.0)
    kept = [event["content"].get("text", "|") for event in supervisor.staging.events if event["kind"] == "output"]
    assert "".join(kept) == "to hungry; hunt|hunte"

"""The corpus: files named for what they do wrong, and files that do it right."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ops_lib.model.lint import Linted
from ops_lib.model.migration import Script
from ops_lib.postgres.lint.lint import lint

CORPUS = Path(__file__).parent / "corpus"
UNSAFE = sorted((CORPUS / "unsafe").glob("*.sql"))
SAFE = sorted((CORPUS / "safe").glob("*.sql"))
STYLE = {
    "prefer-robust-stmts", "prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity",
    "prefer-text-field", "prefer-timestamp-tz", "require-statement-timeout", "require-table-schema", "ban-char-field",
    "transaction-nesting", "require-lock-timeout",
}  # fmt: skip


@cache
def linted(*files: Path) -> list[Linted]:
    """The files as scripts of the plain layout."""
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    alone = {file: re.search(r"^-- transaction: no$", text, re.MULTILINE) for file, text in texts.items()}
    return lint([Script(file=file, text=text, transaction=not alone[file]) for file, text in texts.items()])


@pytest.mark.parametrize("file", UNSAFE, ids=lambda file: file.stem)
def test_what_is_unsafe_is_caught(file: Path) -> None:
    """The rule after which a file is named raises an alarm, which says where, on what, and what to do."""
    (found,) = linted(file)
    alarms = [alarm for alarm in found.alarms if alarm.rule == file.name.split(".")[0]]
    assert alarms
    for alarm in alarms:
        assert alarm.subject
        assert alarm.remedy
        assert alarm.subject in alarm.summary
        assert 1 <= alarm.line <= len(file.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("file", SAFE, ids=lambda file: file.stem)
def test_what_is_safe_raises_no_alarm(file: Path) -> None:
    """Nothing above info is said of it."""
    (found,) = linted(file)
    assert found.alarms == ()
    assert found.safe == ()


@pytest.mark.parametrize("file", UNSAFE, ids=lambda file: file.stem)
def test_no_rule_speaks_twice_of_one_line(file: Path) -> None:
    """Neither we nor squawk repeat what was said of a line and its subject."""
    (found,) = linted(file)
    said = [(finding.rule, finding.line, finding.subject) for finding in found.findings]
    assert len(said) == len(set(said))


def test_squawk_alone_sees_much_less() -> None:
    """What is counted for the comparison: files in which squawk reports more than style, without our rules."""
    program = str(Path(sys.executable).with_name("squawk"))
    command = [program, "--reporter", "Json", *map(str, [*UNSAFE, *SAFE])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CORPUS)
    seen = {Path(each["file"]) for each in json.loads(done.stdout) if each["rule_name"] not in STYLE}
    ours = {each.file for file in UNSAFE for each in linted(file) if each.alarms}
    assert len(ours) == len(UNSAFE)
    assert len(seen & set(UNSAFE)) < len(UNSAFE) * 0.6
    assert seen & set(SAFE)

"""squawk: another linter's eyes on the same files, for what is style and for what nobody thought of here.

Where our own rules look for the same thing theirs is left out: ours know which tables are new and how large they are.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops_lib.model.errors import OpsError
from ops_lib.model.finding import Severity
from ops_lib.model.migration import Script

# What our own rules say, and what does not hold here: a file is applied once, its BEGIN is understood.
_LEFT_OUT: Final = frozenset({
    "adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field", "adding-required-field",
    "adding-serial-primary-key-field", "ban-alter-domain-with-add-constraint",
    "ban-concurrent-index-creation-in-transaction", "ban-drop-column", "ban-drop-table", "ban-truncate-cascade",
    "changing-column-type", "constraint-missing-not-valid", "disallowed-unique-constraint", "prefer-repack",
    "prefer-robust-stmts", "renaming-column", "renaming-object", "renaming-table", "require-concurrent-index-creation",
    "require-concurrent-index-deletion", "require-concurrent-partition-detach", "require-concurrent-reindex",
    "require-lock-timeout", "require-table-schema", "syntax-error", "transaction-nesting",
})  # fmt: skip
_SEVERE: Final = {
    "ban-drop-database": Severity.CRITICAL,
    "ban-duplicate-column-assignments": Severity.WARNING,
    "ban-uncommitted-transaction": Severity.WARNING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What squawk says about a line, with how much that matters here."""

    rule: str
    line: int
    severity: Severity
    summary: str
    remedy: str


def opinions(scripts: Sequence[Script]) -> list[list[Opinion]]:
    """What squawk says about each script and our own rules do not."""
    answers = _ask([script.text for script in scripts])
    return [
        [_opinion(each, script.first_line) for each in answer if each["rule_name"] not in _LEFT_OUT]
        for script, answer in zip(scripts, answers, strict=True)
    ]


def _opinion(answer: dict[str, Any], first_line: int) -> Opinion:
    rule = answer["rule_name"]
    return Opinion(
        rule=rule,
        line=answer["line"] + first_line,
        severity=_SEVERE.get(rule, Severity.INFO),
        summary=answer["message"],
        remedy=answer["help"] or "see https://squawkhq.com/docs/rules",
    )


def _ask(texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The answers for some texts, in one call; a configuration that lies about is not read."""
    if not texts:
        return []
    with tempfile.TemporaryDirectory(prefix="runbook-lint-") as folder:
        files = [Path(folder, f"{number:06}.sql") for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text, encoding="utf-8")
        Path(folder, ".squawk.toml").touch()
        answers = _run(folder, [file.name for file in files])
    found: dict[str, list[dict[str, Any]]] = {file.name: [] for file in files}
    for answer in answers:
        found[Path(answer["file"]).name].append(answer)
    return [found[file.name] for file in files]


def _run(folder: str, names: list[str]) -> list[dict[str, Any]]:
    command = [_program(), "--reporter", "Json", "--config", ".squawk.toml", *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    except ValueError:
        told = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
        raise OpsError(f"squawk failed: {told[0]}", hint="pip install --force-reinstall squawk-cli") from None
    return answers


def _program() -> str:
    beside = Path(sys.executable).with_name("squawk")
    if beside.exists():
        return str(beside)
    if (found := shutil.which("squawk")) is None:
        raise OpsError("squawk is not installed", hint="pip install squawk-cli")
    return found

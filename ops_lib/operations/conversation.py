"""What the words of a runbook ask of the run that they belong to.

Under a supervisor every answer comes over the step channel and is journalled. A notebook that somebody opens by hand
has none: its words work all the same, and nothing of it is recorded.
"""

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from ops_lib.model.errors import Refused
from ops_lib.model.finding import Finding, ranked
from ops_lib.model.result import Result
from ops_lib.model.step import Next
from ops_lib.model.target import Hazard, Login
from ops_lib.notebooks.channel import Client
from ops_lib.operations.desk import Desk
from ops_lib.operations.scratch_server import scratch_server


class Conversation(Protocol):
    """The run as its kernel sees it."""

    def introduce(self) -> Mapping[str, Any]:
        """Who this run is: run_id, runbook, hazard, target, login, reader, owner, windows, archive."""

    def scratch(self, name: str | None = None) -> Login | None:
        """A server on which databases of our own may be made: the one that is named, or one of ours."""

    def statement(self, sql: str, seconds: float) -> None:
        """A statement was sent to the target."""

    def note(self, text: str) -> None:
        """A person's remark."""

    def secret(self, value: str) -> None:
        """A value that must not be stored."""

    def attach(self, name: str, content: bytes) -> None:
        """A file to keep with the record."""

    def shown(self, result: Result) -> None:
        """A result was shown."""

    def findings(self) -> list[Finding]:
        """What was found so far, ranked."""

    def undo(self, text: str, parameters: Mapping[str, Any]) -> None:
        """How what this run is about to do is undone: by this runbook, with these parameters."""

    def begin_step(self, name: str, *, row: bool, elsewhere: bool = False) -> Mapping[str, Any]:
        """What shall become of a step: act, once its beginning is durable; carry; or probe."""

    def step_probed(self, name: str, found: str, why: str, how: str, answer: Any) -> Mapping[str, Any]:
        """What shall become of a step whose effect was looked for: act or carry. Refused where a person is asked."""

    def step_retry(self, name: str, attempt: int, error: str, seconds: float) -> None:
        """The step failed, and is tried again after some seconds."""

    def end_step(self, name: str, status: str, evidence: Any, **answer: Any) -> None:
        """The step ended; `answer` is given where its evidence is something else."""

    def approved(self, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        """On whose word the run goes on with a plan. WaitsForApproval where there is none."""

    def handoff(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The handoff that this run has made of a message, now or before."""

    def seal(self) -> str:
        """The id of the run; in JupyterLab its record is made once the cell that says this has ended."""


class Supervised:
    """A run under a supervisor, asked over the step channel."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._introduction: Mapping[str, Any] = client.ask("introduce")

    def introduce(self) -> Mapping[str, Any]:
        return self._introduction

    def scratch(self, name: str | None = None) -> Login | None:
        login = self._client.ask("scratch", name=name)
        return Login.from_json(login) if login else None

    def statement(self, sql: str, seconds: float) -> None:
        self._client.ask("statement", sql=sql, seconds=seconds)

    def note(self, text: str) -> None:
        self._client.ask("note", text=text)

    def secret(self, value: str) -> None:
        self._client.ask("secret", value=value)

    def attach(self, name: str, content: bytes) -> None:
        self._client.ask("attach", name=name, content=base64.b64encode(content).decode())

    def shown(self, result: Result) -> None:
        """Nothing to do: the supervisor sees what the cell emits."""

    def findings(self) -> list[Finding]:
        return [Finding.from_json(item, weight=item["weight"]) for item in self._client.ask("findings")]

    def undo(self, text: str, parameters: Mapping[str, Any]) -> None:
        self._client.ask("undo", text=text, parameters=dict(parameters))

    def begin_step(self, name: str, *, row: bool, elsewhere: bool = False) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._client.ask("step-begin", name=name, row=row, elsewhere=elsewhere)
        return told

    def step_probed(self, name: str, found: str, why: str, how: str, answer: Any) -> Mapping[str, Any]:
        said = {"name": name, "found": found, "why": why, "how": how, "answer": answer}
        told: Mapping[str, Any] = self._client.ask("step-probed", **said)
        return told

    def step_retry(self, name: str, attempt: int, error: str, seconds: float) -> None:
        self._client.ask("step-retry", name=name, attempt=attempt, error=error, seconds=seconds)

    def end_step(self, name: str, status: str, evidence: Any, **answer: Any) -> None:
        more = {**answer, "own_answer": True} if answer else {}
        self._client.ask("step-end", name=name, status=status, evidence=evidence, **more)

    def approved(self, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._client.ask("approved", plan=plan)
        return told

    def handoff(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._client.ask("handoff", message=message)
        return told

    def seal(self) -> str:
        return str(self._client.ask("seal"))


class Unsupervised:
    """A notebook opened by hand: reading works, nothing is recorded, and steps that change something are refused."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._results: list[Result] = []

    def introduce(self) -> Mapping[str, Any]:
        target = self._desk.target(None)
        reader = self._desk.reach(target, Hazard.READ_ONLY).to_json()
        return {
            "run_id": "by-hand",
            "runbook": "notebook",
            "hazard": Hazard.READ_ONLY.value,
            "target": target.name,
            "login": reader,
            "reader": reader,
            "owner": None,
            "windows": [],
            "archive": str(self._desk.archive),
        }

    def scratch(self, name: str | None = None) -> Login | None:
        return scratch_server(self._desk, name) if name else self._desk.experiments()

    def statement(self, sql: str, seconds: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def secret(self, value: str) -> None:
        pass

    def attach(self, name: str, content: bytes) -> None:
        pass

    def shown(self, result: Result) -> None:
        self._results.append(result)

    def findings(self) -> list[Finding]:
        return ranked(finding for result in self._results for finding in result.findings)

    def undo(self, text: str, parameters: Mapping[str, Any]) -> None:
        pass

    def begin_step(self, name: str, *, row: bool, elsewhere: bool = False) -> Mapping[str, Any]:
        if elsewhere:
            return {"do": Next.ACT.value, "step": name, "chain": "by-hand"}
        raise Refused(
            f"step {name!r} would change something, and this notebook has no supervisor that records it",
            hint="run it with: runbook run ID",
        )

    def step_probed(self, name: str, found: str, why: str, how: str, answer: Any) -> Mapping[str, Any]:
        raise AssertionError("a step that was refused is not probed")

    def step_retry(self, name: str, attempt: int, error: str, seconds: float) -> None:
        raise AssertionError("a step that was refused is not tried again")

    def end_step(self, name: str, status: str, evidence: Any, **answer: Any) -> None:
        pass

    def approved(self, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Refused("nobody can approve what no supervisor records", hint="run it with: runbook run ID")

    def handoff(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Refused("nobody owes what no supervisor records", hint="run it with: runbook run ID")

    def seal(self) -> str:
        raise Refused("nothing of this notebook is recorded", hint="open it with: runbook lab ID")

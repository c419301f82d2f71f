"""Effects of steps: a change and the row that proves it, in one transaction.

The row is in `ops_runbooks.steps`, a table that the first step makes. It says `began` while the step acts and `done`
once its effect is complete, so that outside of the transaction only `done` can be seen; `began` shows only where the
action ended the transaction by itself, and then nobody knows how far it came. The key is the step in its chain of
runs: whatever else goes wrong, the server lets no step have its effect twice.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from ops_lib.model.errors import BadInput, OpsError, StatementFailed
from ops_lib.model.step import Found
from ops_lib.postgres import questions
from ops_lib.postgres.session import Parameters, Session

STEM = "step_rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the row of a step is: the step, its chain of runs, and the run that acts now."""

    chain: str
    step: str
    run_id: str
    redo: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return {"chain": self.chain, "step": self.step, "run_id": self.run_id, "redo": self.redo}


class HadItsEffect(OpsError):
    """The row of a step was there when the step came to act."""

    def __init__(self, step: str, found: "Look") -> None:
        super().__init__(f"step {step!r} has had its effect before")
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the row of a step says, with the answer that was kept in it."""

    found: Found
    why: str
    answer: Any = None


class Transaction:
    """What the action of a step is given: the target, inside the transaction in which the step's row is left."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """The rows of one statement; named placeholders are `%(name)s`, and only where parameters are given."""
        return self._session.rows(statement, parameters)

    def change(self, statement: str, parameters: Parameters | None = None) -> int:
        """How many rows a statement has changed."""
        return self._session.change(statement, parameters)


def _as_itself(session: Session) -> None:
    """Be the role of the login until the end of the transaction: what an action became may not touch the rows."""
    role = sql.Identifier(session.login.role) if session.login.role else sql.SQL("NONE")
    session.rows(sql.SQL("SET LOCAL ROLE {}").format(role).as_string(None))


def prepare(session: Session) -> str | None:
    """Make the table where there is none; why no row can be left, or nothing where one can."""
    try:
        with session.changing():
            _as_itself(session)
            (there,) = session.answer(questions.__name__, STEM, "there")
            if not there["schema_there"]:
                session.answer(questions.__name__, STEM, "make_schema")
            if not there["table_there"]:
                session.answer(questions.__name__, STEM, "make_table")
            (there,) = session.answer(questions.__name__, STEM, "there")
    except StatementFailed as error:
        return f"ops_runbooks.steps cannot be made: {error.message}"
    return None if there["usable"] else "this role may not read and write ops_runbooks.steps"


def look(session: Session, place: Place) -> Look:
    """Whether a step that was to leave a row has had its effect."""
    try:
        with session.changing():
            _as_itself(session)
            (there,) = session.answer(questions.__name__, STEM, "there")
            if not there["usable"]:
                return Look(found=Found.UNKNOWN, why="ops_runbooks.steps is gone, or may not be read")
            rows = session.answer(questions.__name__, STEM, "find", place.parameters)
    except OpsError as error:
        return Look(found=Found.UNKNOWN, why=error.message)
    return _judged(rows)


def _judged(rows: list[dict[str, Any]]) -> Look:
    if not rows:
        return Look(found=Found.NOT_DONE, why="it left no row in ops_runbooks.steps")
    if rows[0]["state"] == "began":
        return Look(found=Found.UNKNOWN, why="its action ended the transaction by itself, before its end")
    return Look(found=Found.DONE, why="its row is in ops_runbooks.steps", answer=rows[0]["answer"])


def act(session: Session, place: Place, action: Callable[[Transaction], Any]) -> Any:
    """The answer of an action, once its effect and its row are committed together; HadItsEffect where they were."""
    with session.changing():
        _as_itself(session)
        if not session.answer(questions.__name__, STEM, "begin", place.parameters):
            found = _judged(session.answer(questions.__name__, STEM, "find", place.parameters))
            raise HadItsEffect(place.step, found)
        answer = action(Transaction(session))
        _complete(session, place, json_text(answer))
    return answer


def act_without_row(session: Session, action: Callable[[Transaction], Any]) -> Any:
    """The answer of an action in a transaction where no row can be left."""
    with session.changing():
        answer = action(Transaction(session))
        json_text(answer)
    return answer


def _complete(session: Session, place: Place, answer: str) -> None:
    if session.in_transaction:
        _as_itself(session)
        if session.answer(questions.__name__, STEM, "end", {**place.parameters, "answer": answer}):
            return
    raise OpsError(
        f"the action of step {place.step!r} ended its transaction by itself",
        hint="leave COMMIT and ROLLBACK to the step, or give it an action without an argument, and a probe",
    )


def json_text(answer: Any) -> str:
    """An answer as JSON; BadInput where it is something else."""
    try:
        return json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError) as error:
        hint = "answer numbers, text, lists or dicts"
        raise BadInput(f"what the step answered is not JSON: {error}", hint=hint) from None

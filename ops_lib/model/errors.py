"""The error tree.

Every error says what happened and where in its message, and what to do next in `hint`. It is raised where it is
known and caught at a door (which turns it into one line and an exit code) or in `operations.run` (where the failure
is the record).

    OpsError                 1
    |-- BadInput             2   nothing was recorded
    |   |-- BadRunbook           a notebook that does not keep the contract
    |   |-- BadParameter         unknown, ill-typed or out of range
    |   `-- BadTarget            unknown, or given in a form that is not accepted
    |-- Refused              3   a need or a gate said no
    |   `-- TargetUnreachable    the database does not answer
    |-- WaitsForApproval     4   the run goes on once it is approved; it is not over
    |-- TargetLost           1   the database went away while it was in use
    |-- StatementFailed      1   the database answered a statement with an error
    |-- KernelDied           1   the process that runs the cells went away
    |-- TimedOut             5   the run reached its deadline
    |-- ArchiveUnwritable    1   a record could not be kept: no space, read-only, no permission
    |-- IndexUnavailable     1   the search index cannot be used now; records are read one by one instead
    |-- DoesNotVerify        6   the archive is not what the ledger says
    |-- Overtaken            1   another ticker did what was to be done; nothing was recorded
    `-- Interrupted        130   a person or the system asked the run to stop
"""


class OpsError(Exception):
    """Something went wrong that this project knows how to explain."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback: the reader of a runbook needs the sentence, not our code."""
        hint = [f"hint: {self.hint}"] if self.hint else []
        return [f"{type(self).__name__}: {self.message}", *hint]


class BadInput(OpsError):
    """What was asked for cannot be understood; nothing was recorded."""

    exit_code = 2


class BadRunbook(BadInput):
    """A notebook that does not keep the contract of a runbook."""


class BadParameter(BadInput):
    """A parameter that the runbook does not take, or not with this value."""


class BadTarget(BadInput):
    """A target that is not known, or is written in a way that is not accepted."""


class Refused(OpsError):
    """A need or a gate said no."""

    exit_code = 3


class TargetUnreachable(Refused):
    """The target does not answer."""


class WaitsForApproval(OpsError):
    """The run waits until somebody approves its plan. `run_id` is known outside of its kernel."""

    exit_code = 4
    run_id: str | None = None


class TargetLost(OpsError):
    """The target went away while it was in use."""


class StatementFailed(OpsError):
    """The target answered a statement with an error."""


class KernelDied(OpsError):
    """The process that runs the cells went away."""


class TimedOut(OpsError):
    """The run reached its deadline."""

    exit_code = 5


class ArchiveUnwritable(OpsError):
    """A record could not be kept."""


class IndexUnavailable(OpsError):
    """The search index cannot be used now."""


class DoesNotVerify(OpsError):
    """The archive is not what its ledger says."""

    exit_code = 6


class Overtaken(OpsError):
    """Another ticker did what was to be done."""


class Interrupted(OpsError):
    """A person or the system asked the run to stop."""

    exit_code = 130

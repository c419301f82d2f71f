"""The scratch server that somebody names: where databases of our own may be made and dropped."""

from ops_lib.model.approval import demand_of
from ops_lib.model.errors import Refused
from ops_lib.model.target import Hazard, Login
from ops_lib.operations.desk import Desk


def scratch_server(desk: Desk, name: str) -> Login:
    """How it is reached; Refused where it is a target whose changes somebody has to approve."""
    target = desk.target(name)
    if name in desk.targets and demand_of(target, desk.targets).approvals:
        hint = "name a server that nobody depends on, or leave it out: one of our own is used then"
        raise Refused(f"changes of {name} have to be approved: it is no scratch server", hint=hint)
    return desk.reach(target, Hazard.CHANGES)

"""Safe files: whole files that do what another one does, without its alarms, split where that is the answer."""

from ops_lib.postgres.lint.safe.draft import Draft
from ops_lib.postgres.lint.safe.files import written

__all__ = ["Draft", "written"]

"""Where a cluster lives and as whom it runs.

It lives in the home of its server. Root runs it as `nobody`; where `nobody` cannot reach the home, the cluster lives
below /var/lib, under a name made from the home's path, and the home keeps its permissions.
"""

import os
import stat
from functools import cached_property
from pathlib import Path

from ops_lib.model.errors import OpsError
from ops_lib.postgres import binaries
from ops_lib.postgres.binaries import Account

PORT = 5432
_SOCKET_FOLDER_LIMIT = 107 - len(f"/.s.PGSQL.{PORT}.lock")


class Seat:
    """The folder of one cluster, decided once; its home must exist."""

    def __init__(self, home: Path) -> None:
        self.home = home

    @cached_property
    def folder(self) -> Path:
        beside, apart = self.home / "postgres", binaries.SHARED / binaries.digest(self.home)
        if beside.exists() or os.geteuid() != 0:
            return beside
        reachable = binaries.account_for(apart).can("x", self.home)
        return beside if reachable and not apart.exists() else apart

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def account(self) -> Account:
        return binaries.account_for(self.folder)

    @property
    def socket_folder(self) -> Path:
        """Beside the data, or below /tmp where that path is too long for a socket."""
        beside = self.folder / "socket"
        if len(os.fsencode(beside)) <= _SOCKET_FOLDER_LIMIT:
            return beside
        return Path("/tmp") / f"ops-runbooks-{binaries.digest(self.folder)}"  # noqa: S108 (its owner is checked)

    def make(self) -> None:
        """The folder, owned by the account that runs the cluster."""
        if self.folder.parent == binaries.SHARED:
            binaries.make_folder(binaries.SHARED, mode=0o755)
        binaries.make_folder(self.folder, mode=0o700, account=self.account)
        self._require_ours(self.folder)

    def make_socket_folder(self) -> None:
        binaries.make_folder(self.socket_folder, mode=0o700, account=self.account)
        self._require_ours(self.socket_folder)

    def give(self, file: Path) -> None:
        """Makes a file that we wrote the account's own, for nobody else to read."""
        file.chmod(0o600)
        os.chown(file, self.account.uid, self.account.gid)

    def _require_ours(self, folder: Path) -> None:
        found, uid = folder.lstat(), self.account.uid
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
            hint = f"use it as user {found.st_uid}, or remove it"
            raise OpsError(f"{folder} is not a folder of user {uid}", hint=hint)

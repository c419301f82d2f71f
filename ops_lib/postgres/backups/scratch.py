"""Scratch servers: a PostgreSQL that lives for one drill, in a private folder, and is thrown away with it.

Nothing in it has to outlive a crash, so it is set for speed. It connects to nobody: no archiving, no subscriptions. It
listens on a socket in a folder that only its own account can enter, which is why it asks for no password: those of a
restored cluster are not known here.
What a drill that was killed left behind is ended and removed by the next one.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from psycopg import conninfo, pq

from ops_lib.model.backup import Source
from ops_lib.model.errors import OpsError, Refused
from ops_lib.model.target import Hazard, Login
from ops_lib.postgres import binaries, processes
from ops_lib.postgres.backups.programs import Programs
from ops_lib.postgres.backups.restore import make_database, missing_extensions
from ops_lib.postgres.connection import connect
from ops_lib.postgres.seat import PORT, Seat

LOCK = "lock"
_PATIENCE = 3600.0
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "", "unix_socket_permissions": "0700", "port": str(PORT),
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
    "shared_buffers": "256MB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h",
    "dynamic_shared_memory_type": "mmap", "max_connections": "40", "hot_standby": "off", "archive_mode": "off",
    "shared_preload_libraries": "", "session_preload_libraries": "", "logging_collector": "off", "ssl": "off",
    "primary_conninfo": "", "recovery_min_apply_delay": "0", "log_statement": "none", "huge_pages": "off",
    "max_logical_replication_workers": "0", "cluster_name": "runbook drill", "external_pid_file": "",
}  # fmt: skip
_EMPTY: Mapping[str, str] = {"wal_level": "minimal", "max_wal_senders": "0"}


class ScratchServer:
    """One server below `home`, which is made, locked and removed by this object.

    Its superuser is named like that of the cluster that was saved: since PostgreSQL 16 only the role that a cluster was
    made with can repeat what it has granted.
    """

    def __init__(self, home: Path, programs: Programs, superuser: str) -> None:
        self.home = home.absolute()
        self.superuser = superuser
        self.programs = programs
        self._started: subprocess.Popen[bytes] | None = None
        self._seat = Seat(self.home)

    def __enter__(self) -> Self:
        with binaries.locked(self.home.parent / LOCK):
            self.home.mkdir(mode=0o711)
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self._lock = _lock(self.home)
        self._seat.make()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        _remove(self.home)
        os.close(self._lock)

    @property
    def data(self) -> Path:
        return self._seat.data

    @property
    def folder(self) -> Path:
        """A place on the same disk that the account of the server can use."""
        return self._seat.folder

    @property
    def log(self) -> str:
        """What the server has said so far."""
        try:
            return self._seat.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def initialize(self) -> None:
        """Make an empty cluster."""
        binaries.make_folder(self.data, mode=0o700, account=self._seat.account)
        more = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.programs.major >= 17 else []
        self._call(
            "initdb", "--username", self.superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", *more,
            "--no-sync", "--pgdata", str(self.data),
        )  # fmt: skip

    def adopt(self) -> None:
        """Make the files in `data`, put there by us, the server's own, and let us in."""
        self.give(self.data)
        self.data.chmod(0o700)
        for stale in ("postmaster.pid", "postmaster.opts", "standby.signal"):
            (self.data / stale).unlink(missing_ok=True)

    def give(self, path: Path) -> None:
        """Make a file, or a folder with all that is in it, the account's own."""
        account = self._seat.account
        for one in (path, *path.rglob("*")):
            os.chown(one, account.uid, account.gid, follow_symlinks=False)

    def start(self, more: Mapping[str, str] | None = None, *, tell: Callable[[float], None] | None = None) -> None:
        """Returns when the server answers, which is when it is consistent and open for writes."""
        self._seat.make_socket_folder()
        settings = {**_SETTINGS, **(more if more is not None else _EMPTY), **self._own_files()}
        settings["unix_socket_directories"] = str(self._seat.socket_folder)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._seat.log.open("ab") as log:
            self._started = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                **self._seat.account.popen(),
            )  # fmt: skip
        self._await(tell)

    def stop(self) -> None:
        """Ends the server; what it holds is not meant to be kept."""
        if self._started is not None:
            processes.end_orphans(self.data)
            self._started.kill()
            self._started.wait()
            self._started = None

    def login(self, dbname: str = "postgres") -> Login:
        """How we reach a database of it."""
        keywords = {"host": str(self._seat.socket_folder), "port": str(PORT), "user": self.superuser, "dbname": dbname}
        return Login(keywords=keywords)

    def make_database(self, source: Source) -> str | None:
        """Make an empty database like the one that was saved; what about it could not be the same, in words.

        Refused where it needs an extension that this server has not got.
        """
        login = self.login("template1")
        with connect(login, application_name="runbook/drill", hazard=Hazard.CHANGES, statement_timeout_ms=0) as session:
            if missing := missing_extensions(session, source):
                hint = "name the programs of a PostgreSQL that has them: backups: {programs: DIR} in settings.yaml"
                raise Refused(f"the scratch server lacks the extensions {', '.join(missing)}", hint=hint)
            return make_database(session, source)

    def control(self) -> dict[str, str]:
        """What the control file of the data says, by its English labels; OpsError where there is none to read."""
        told = self._call("pg_controldata", str(self.data))
        pairs = (line.partition(":") for line in told.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}

    def _own_files(self) -> dict[str, str]:
        """Configuration that stands above the cluster's: only this account comes in, and needs no password."""
        hba, conf = self.folder / "pg_hba.conf", self.folder / "postgresql.conf"
        for path, text in ((hba, "local all all trust\n"), (conf, "")):
            path.write_text(text, encoding="utf-8")
            self._seat.give(path)
        return {"config_file": str(conf), "hba_file": str(hba), "data_directory": str(self.data)}

    def _await(self, tell: Callable[[float], None] | None) -> None:
        began = time.monotonic()
        while pq.PGconn.ping(self._address().encode()) != pq.Ping.OK:
            assert self._started
            if self._started.poll() is not None or time.monotonic() - began > _PATIENCE:
                raise OpsError(f"the restored server does not start: {_last_words(self.log)}")
            if tell:
                tell(time.monotonic() - began)
            time.sleep(0.02)

    def _address(self) -> str:
        return conninfo.make_conninfo(**self.login().keywords, connect_timeout="5")

    def _program(self, name: str) -> str:
        return str(self._folder() / name)

    def _folder(self) -> Path:
        """The programs as the account of the server can run them."""
        own = binaries.installed() / "bin"
        return binaries.programs(self._seat.account) if self.programs.folder == own else self.programs.folder

    def _call(self, name: str, *arguments: str) -> str:
        return replace(self.programs, folder=self._folder()).call(name, *arguments, account=self._seat.account)


def sweep(drills: Path) -> int:
    """Ends and removes the scratch servers whose drills are gone, and says how many there were."""
    if not drills.is_dir():
        return 0
    with binaries.locked(drills / LOCK):
        homes = [path for path in drills.iterdir() if path.is_dir()]
        return sum(_swept(home) for home in homes)


def _swept(home: Path) -> bool:
    lock = _lock(home)
    if lock < 0:
        return False
    _remove(home)
    os.close(lock)
    return True


def _lock(home: Path) -> int:
    """A descriptor that holds the lock of a folder, or -1 where another process holds it."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor


def _remove(home: Path) -> None:
    seat = Seat(home)
    processes.end_orphans(seat.data)
    for folder in (seat.socket_folder, seat.folder, home):
        shutil.rmtree(folder, ignore_errors=True)


def _last_words(log: str) -> str:
    """The line of a log that says why a server did not start."""
    lines = [line for line in log.splitlines() if any(word in line for word in ("PANIC:", "FATAL:", "ERROR:"))]
    return lines[0].split(":  ", 1)[-1] if lines else (log.strip().splitlines() or ["it said nothing"])[-1]

"""The embedded server: a PostgreSQL of our own in a state folder, reached through a unix socket.

    home/              the state folder
      lock             held while the server is started, stopped or removed
      pgpass           one password per role, 0600
      postgres/        owned by the account that runs it; below /var/lib where that account cannot reach home
        data/  log  socket/

The server outlives the command that started it and keeps none of its files open. Every command may be killed at any
moment: the cluster appears by one rename, and what a killed postmaster left is ended before the next start.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ops_lib.model.errors import OpsError
from ops_lib.model.target import Login
from ops_lib.postgres import binaries, passfile, processes
from ops_lib.postgres.binaries import Command
from ops_lib.postgres.seat import PORT, Seat

Progress = Callable[[str], None]

SUPERUSER = "postgres"
_START_PATIENCE = 300
_SETTINGS = Path(__file__).with_name("embedded.conf")


def silent(message: str) -> None:
    """Progress that nobody watches."""


class EmbeddedServer:
    """The one server of a state folder. Any number of processes may hold one and use it at the same time.

    One that is thrown away has settings of its own, and is not `durable`: its cluster need not outlive a power cut.
    """

    def __init__(self, home: Path, *, settings: Path = _SETTINGS, durable: bool = True) -> None:
        self.home = home.absolute()
        self._settings, self._durable = settings, durable
        self._seat = Seat(self.home)
        self._held: tuple[int, ...] = ()

    @property
    def passfile(self) -> Path:
        """The password file, for psql and others through PGPASSFILE."""
        return self.home / "pgpass"

    @property
    def data(self) -> Path:
        return self._seat.data

    @property
    def log(self) -> Path:
        return self._seat.log

    @property
    def socket_folder(self) -> Path:
        return self._seat.socket_folder

    def made(self) -> bool:
        """Whether there is a cluster, running or not."""
        return self.home.exists() and self.data.exists()

    def running(self) -> bool:
        """Whether the server answers."""
        if not self.home.exists() or processes.postmaster(self.data) is None:
            return False
        from psycopg import conninfo, pq  # noqa: PLC0415 (heavy, and not needed to say no)

        address = conninfo.make_conninfo(host=str(self.socket_folder), port=PORT, connect_timeout=5)
        return pq.PGconn.ping(address.encode()) == pq.Ping.OK

    def start(self, progress: Progress | None = None) -> None:
        """Starts the server, makes its cluster first where there is none; returns when it answers."""
        tell = progress or silent
        if self.running() and passfile.password(self.passfile, SUPERUSER):
            return
        binaries.make_folder(self.home, mode=0o711 if os.geteuid() == 0 else 0o700)
        with self._locked(tell):
            self._seat.make()
            if not (self.data / "PG_VERSION").exists():
                self._clear()
                tell("making a database cluster")
                self._initialize()
            self._check_version()
            self._ensure_login()
            self._launch(tell)

    def stop(self, mode: str = "fast") -> None:
        """Stops the server (`smart`, `fast` or `immediate`) and what an earlier one left behind."""
        if not self.home.exists():
            return
        with self._locked():
            self._stop(mode)

    def remove(self) -> None:
        """Stops the server and deletes its cluster, its socket and its passwords; the folder `home` stays."""
        if not self.home.exists():
            return
        with self._locked():
            self._stop("immediate")
            for folder in (self.socket_folder, self._seat.folder):
                shutil.rmtree(folder, ignore_errors=True)
            self.passfile.unlink(missing_ok=True)
            self._seat = Seat(self.home)

    def login(self, role: str = SUPERUSER, dbname: str = "platform") -> Login:
        """How a role reaches a database of this server."""
        word = passfile.password(self.passfile, role)
        if word is None:
            raise OpsError(
                f"the role {role} has no password on the embedded server", hint="start it with: runbook demo"
            )
        keywords = {"host": str(self.socket_folder), "port": str(PORT), "user": role, "dbname": dbname}
        return Login(keywords=keywords, password=word)

    def ensure_password(self, role: str) -> str:
        """The password that a role is to have, made on first use; giving it to the role is up to the caller."""
        with self._locked():
            return passfile.ensure(self.passfile, role)

    def psql(self, *arguments: str, role: str = SUPERUSER, dbname: str = "platform") -> Command:
        """The wheel's psql against a database of this server, without a password in it."""
        env = {
            "PGHOST": str(self.socket_folder),
            "PGPORT": str(PORT),
            "PGUSER": role,
            "PGDATABASE": dbname,
            "PGPASSFILE": str(self.passfile),
        }
        return Command(argv=(str(binaries.installed() / "bin/psql"), *arguments), env=env)

    @contextmanager
    def _locked(self, tell: Progress = silent) -> Iterator[None]:
        """Alone with the cluster. Programs that change it hold the lock too, should we be killed."""
        with binaries.locked(self.home / "lock", "waiting for another command that starts the database", tell) as file:
            self._held = (file.fileno(),)
            try:
                yield
            finally:
                self._held = ()

    # -- the cluster ------------------------------------------------------------------------------------------------

    def _initialize(self) -> None:
        draft = self._seat.folder / "new"
        shutil.rmtree(draft, ignore_errors=True)
        binaries.make_folder(draft, mode=0o700, account=self._seat.account)
        words = draft / "password"
        words.touch(mode=0o600)
        words.write_text(passfile.ensure(self.passfile, SUPERUSER) + "\n", encoding="utf-8")
        self._seat.give(words)
        self._call(
            "initdb",
            *("--username", SUPERUSER, "--auth", "scram-sha-256", "--pwfile", str(words), "--data-checksums"),
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--pgdata", str(draft / "data"), *(() if self._durable else ("--no-sync",))),
        )
        (draft / "data").rename(self.data)
        shutil.rmtree(draft)

    def _check_version(self) -> None:
        cluster, wheel = (self.data / "PG_VERSION").read_text().strip(), binaries.version().split(".")[0]
        if cluster != wheel:
            hint = f"it is a demonstration: remove {self._seat.folder} and start again"
            raise OpsError(f"the cluster was made by PostgreSQL {cluster}, installed is {wheel}", hint=hint)

    def _ensure_login(self) -> None:
        """Gives the superuser a new password where the file that held it is lost: the cluster's owner may."""
        if passfile.password(self.passfile, SUPERUSER):
            return
        self._stop("fast")
        word = passfile.ensure(self.passfile, SUPERUSER)
        self._call(
            "postgres", "--single", "-D", str(self.data), "postgres", text=f"ALTER ROLE postgres PASSWORD '{word}'\n"
        )

    def _launch(self, tell: Progress) -> None:
        """Starts a postmaster, or waits for one that a command that is gone has started."""
        if processes.postmaster(self.data) is not None:
            self._await(None, tell)
            return
        self._clear()
        self._seat.make_socket_folder()
        self._write_settings()
        tell(f"starting PostgreSQL {binaries.version()}")
        options = f"-k {shlex.quote(str(self.socket_folder))} -p {PORT}"
        arguments = (
            "--wait",
            "--timeout",
            str(_START_PATIENCE),
            "-D",
            str(self.data),
            "-l",
            str(self.log),
            "-o",
            options,
        )
        nothing = subprocess.DEVNULL
        with subprocess.Popen(
            [self._program("pg_ctl"), "start", *arguments],
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
            **self._seat.account.popen(),
        ) as starter:
            self._await(starter, tell)

    def _await(self, starter: "subprocess.Popen[bytes] | None", tell: Progress) -> None:
        """Returns when the server answers; an error where neither a starter nor a postmaster is alive any more."""
        began = told = time.monotonic()
        while not self.running():
            now = time.monotonic()
            over = now - began > _START_PATIENCE
            if over or ((starter is None or starter.poll() is not None) and processes.postmaster(self.data) is None):
                raise OpsError(f"PostgreSQL did not start:\n{self._last_lines(8)}", hint=f"the whole log is {self.log}")
            if now - told > 2:
                told = now
                tell(f"PostgreSQL is starting, {now - began:.0f} s so far: {self._last_lines(1)}")
            time.sleep(0.02)

    def _stop(self, mode: str) -> None:
        if processes.postmaster(self.data) is not None:
            self._call("pg_ctl", "stop", "--wait", "--mode", mode, "-D", str(self.data))
        else:
            self._clear()

    def _clear(self) -> None:
        """Removes what a killed postmaster left: its backends, and the lock files that name its process id."""
        processes.end_orphans(self.data)
        for stale in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _write_settings(self) -> None:
        draft = self.data / "postgresql.conf.new"
        draft.write_text(self._settings.read_text(encoding="utf-8"), encoding="utf-8")
        self._seat.give(draft)
        draft.replace(self.data / "postgresql.conf")

    # -- programs ---------------------------------------------------------------------------------------------------

    def _program(self, name: str) -> str:
        return str(binaries.programs(self._seat.account) / name)

    def _call(self, name: str, *arguments: str, text: str | None = None) -> None:
        command: Sequence[str] = (self._program(name), *arguments)
        done = subprocess.run(
            command,
            input=text or "",
            capture_output=True,
            text=True,
            check=False,
            pass_fds=self._held,
            **self._seat.account.popen(),
        )
        if done.returncode != 0:
            lines = (done.stderr + done.stdout).strip().splitlines()[-8:]
            hint = "PostgreSQL needs an account with a name: add this user to /etc/passwd"
            unnamed = "user does not exist" in done.stderr
            raise OpsError(f"{name} failed:\n" + "\n".join(lines), hint=hint if unnamed else None)

    def _last_lines(self, count: int) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "no log"
        return "\n".join(lines[-count:])

"""Connections: how a login becomes a session that can be found, bounded and ended.

Every session carries its run in `application_name`, gives up on locks and long statements by itself, and is noticed by
the server when this side dies. Read-only is the default. Server versions 14 to 18.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from ops_lib.model.errors import BadTarget, TargetUnreachable
from ops_lib.model.target import Guard, Hazard, Identity, Login
from ops_lib.postgres.questions import question

CONNECT_SECONDS = 10
CHECK_INTERVAL_MS = 1000
_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_KEEPALIVES = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_ALTERNATIVES = (
    "put the password into ~/.pgpass or a service file, or name it in targets.yaml as password_from: env:NAME"
)


def parse_dsn(text: str) -> Login:
    """The login that a person's connection string means, in URL or keyword form.

    A password in it is refused, since arguments can be read by everyone on the machine. What libpq says about a string
    that it cannot read is not repeated: it quotes the string.

    >>> parse_dsn("postgresql://ops@db.example:5433/platform?sslmode=require").keywords["port"]
    '5433'
    >>> parse_dsn("service=prod").keywords
    {'service': 'prod'}
    """
    try:
        keywords = {key: str(value) for key, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError:
        hint = "write postgresql://user@host:5432/dbname, or host=... dbname=... user=..., or service=NAME"
        raise BadTarget("the target is not a connection string that libpq can read", hint=hint) from None
    if secret := _SECRETS & keywords.keys():
        raise BadTarget(f"the connection string holds a {min(secret)}, and arguments are public", hint=_ALTERNATIVES)
    if not keywords:
        raise BadTarget("the connection string is empty", hint="name a target, a service or a host")
    return Login(keywords=keywords)


def connect(
    login: Login,
    *,
    application_name: str,
    hazard: Hazard = Hazard.READ_ONLY,
    statement_timeout_ms: int = 30_000,
    lock_timeout_ms: int = 500,
) -> psycopg.Connection:
    """A connection in autocommit; read-only unless `hazard` says that it may change something.

    Settings are made after connecting and not as start-up options, which connection poolers refuse.
    """
    keywords: dict[str, Any] = {**_KEEPALIVES, **login.keywords, "application_name": application_name}
    if login.password is not None:
        keywords["password"] = login.password
    try:
        connection = psycopg.connect(autocommit=True, prepare_threshold=None, **keywords)
    except psycopg.OperationalError as error:
        raise TargetUnreachable(_unreachable(login, error), hint=_hint(str(error))) from None
    except psycopg.ProgrammingError as error:
        raise BadTarget(f"{place(login)} is not a login that libpq accepts: {_first_line(error)}") from None
    try:
        settle(connection, login.role, hazard, statement_timeout_ms, lock_timeout_ms)
    except psycopg.Error as error:
        connection.close()
        hint = f"GRANT {login.role} to the login role, or leave `roles` out of targets.yaml" if login.role else None
        raise TargetUnreachable(f"{place(login)} refused this session: {_first_line(error)}", hint=hint) from None
    return connection


def settle(connection: psycopg.Connection, role: str | None, hazard: Hazard, statement_ms: int, lock_ms: int) -> None:
    """Gives a session its role, its guard and its limits, as it had them when it began."""
    if role:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    settings = {
        "default_transaction_read_only": "on" if hazard is Hazard.READ_ONLY else "off",
        "statement_timeout": str(statement_ms),
        "lock_timeout": str(lock_ms),
        "client_connection_check_interval": str(CHECK_INTERVAL_MS),
        "jit": "off",
    }
    configure(connection, settings)


def configure(connection: psycopg.Connection, settings: Mapping[str, str]) -> None:
    """Sets what this server knows of `settings` for the session; what it does not know is passed over."""
    names, values = list(settings), list(settings.values())
    connection.execute(question("configure").encode(), {"names": names, "values": values})


def ask(connection: psycopg.Connection, name: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one row that a question of the folder `questions` has."""
    row = connection.cursor(row_factory=dict_row).execute(question(name).encode(), parameters or {}).fetchone()
    assert row is not None, name
    return row


def identify(connection: psycopg.Connection) -> Identity:
    """Which database answered, as whom, and what keeps this session from writing."""
    row = ask(connection, "identity")
    return Identity(
        system_identifier=ask(connection, "system")["identifier"] if row["may_read_control"] else None,
        database=row["database"],
        server_version=row["server_version"],
        user=row["user_name"],
        guard=_guard(connection, read_only=row["read_only"]),
        in_recovery=row["in_recovery"],
        extensions=row["extensions"],
        can_monitor=row["can_monitor"],
        can_read_all=row["can_read_all"],
    )


def _guard(connection: psycopg.Connection, *, read_only: bool) -> Guard:
    if not ask(connection, "write_rights")["may_write"]:
        return Guard.ROLE
    return Guard.SESSION if read_only else Guard.NONE


def end_sessions(login: Login, application_name: str) -> int:
    """Ends every other session of this name and says how many there were; the server rolls their work back.

    As the login itself: a session belongs to it, whatever role it has taken.
    """
    with connect(
        replace(login, role=None), application_name="runbook/end-sessions", statement_timeout_ms=5_000
    ) as connection:
        return int(ask(connection, "end_sessions", {"application_name": application_name})["ended"])


def cancel_sessions(login: Login, application_name: str) -> int:
    """Cancels what every other session of this name is doing and says how many there were; the sessions stay."""
    with connect(
        replace(login, role=None), application_name="runbook/cancel-sessions", statement_timeout_ms=5_000
    ) as connection:
        return int(ask(connection, "cancel_sessions", {"application_name": application_name})["cancelled"])


def client_version() -> str:
    """The driver and the libpq that it uses, such as `psycopg 3.3.9, libpq 18.1`."""
    number = psycopg.pq.version()
    return f"psycopg {psycopg.__version__}, libpq {number // 10000}.{number % 10000}"


def place(login: Login) -> str:
    """Where a login leads, for messages.

    >>> place(Login(keywords={"host": "db", "port": "5433", "dbname": "platform"}))
    'platform at db:5433'
    """
    keywords = login.keywords
    if "service" in keywords:
        return f"service {keywords['service']}"
    where = keywords.get("host") or keywords.get("hostaddr") or "the default host"
    port = f":{keywords['port']}" if "port" in keywords else ""
    return f"{keywords.get('dbname', 'the default database')} at {where}{port}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _unreachable(login: Login, error: psycopg.OperationalError) -> str:
    said = next((line for line in str(error).splitlines() if "failed: " in line), _first_line(error))
    return f"{place(login)} does not answer: {said.split('failed: ')[-1].removeprefix('connection is bad: ').strip()}"


def _hint(message: str) -> str:
    """What to do about a refused connection, by what libpq says.

    >>> _hint("FATAL:  sorry, too many clients already")
    'all connections are taken: connect as a superuser or with pg_use_reserved_connections, or end idle sessions'
    """
    known = {
        "too many clients": "all connections are taken: connect as a superuser or with pg_use_reserved_connections,"
        " or end idle sessions",
        "remaining connection slots": "all connections are taken: connect as a superuser or with"
        " pg_use_reserved_connections, or end idle sessions",
        "password": _ALTERNATIVES,
        "does not exist": "check the names of database and role in the target",
        "no pg_hba.conf entry": "pg_hba.conf does not let this role connect from here",
        "starting up": "the server is starting; try again in a moment",
        "shutting down": "the server is shutting down",
        "refused": "is the server running, and are host and port right?",
        "No such file": "is the server running, and is the socket's folder right?",
        "translate host name": "check the host name of the target",
        "timeout": "check host, port and firewall",
        "definition of service": "check the name of the service and PGSERVICEFILE",
    }
    return next((hint for sign, hint in known.items() if sign in message), "check the target with `runbook doctor`")

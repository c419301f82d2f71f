"""Passwords of roles, given without their text ever reaching the server or its log."""

from psycopg import sql

from ops_lib.postgres.sql_file import Connection


def set_password(connection: Connection, role: str, password: str) -> None:
    """Gives a role its password; only the SCRAM verifier is sent."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
    connection.execute(statement)

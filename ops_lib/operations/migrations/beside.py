"""Telling beside: what a session tells its listener goes through a thread, while its next statement is under way."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from ops_lib.postgres.session import Session


@contextmanager
def told_beside(session: Session) -> Iterator[None]:
    """In order, and all of it by the end. Where the listener has failed, the next statement told raises its error."""
    listener = session.on_statement
    if listener is None:
        yield
        return
    last: list[Future[None]] = []

    def tell(statement: str, seconds: float) -> None:
        if last and last[0].done():
            last[0].result()
        last[:] = [pool.submit(listener, statement, seconds)]

    with ThreadPoolExecutor(1, thread_name_prefix="told") as pool:
        session.on_statement = tell
        try:
            yield
        finally:
            session.on_statement = listener
    if last:
        last[0].result()

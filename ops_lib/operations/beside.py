"""What is found out while something else goes on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def beside(ask: Callable[Asked, Answer], *given: Asked.args, **named: Asked.kwargs) -> Future[Answer]:
    """The answer to come of a question that waits for others: a program, a disk, a cache."""
    with_one = ThreadPoolExecutor(1)
    try:
        return with_one.submit(ask, *given, **named)
    finally:
        with_one.shutdown(wait=False)

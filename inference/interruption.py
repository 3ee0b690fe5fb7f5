"""A question that long work asks between two tiles, for those who may have to stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def asking(check: Callable[[], None] | None) -> Iterator[None]:
    """Let all work inside, in this thread, call ``check``, which may raise."""
    before = _check.set(check)
    try:
        yield
    finally:
        _check.reset(before)


def ask() -> None:
    """Called between two tiles."""
    check = _check.get()
    if check is not None:
        check()

"""Leaving in good order: a worker told to stop ends its long work within seconds.

A stopped training run is let go of with its checkpoint, so the next worker goes on with it at
once instead of waiting until its heartbeat is stale.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_LONGEST = 60.0  # seconds after which a process that is still here was not meant to end

_leaving = threading.Event()
_told_at = 0.0


def leaving() -> bool:
    """Whether this process was told to stop."""
    return _leaving.is_set()


@contextmanager
def whole_task() -> Iterator[None]:
    """A task of a worker, which a stop signal lets come to its end.

    Celery waits for the answer of a process that ends within a task, and is killed while it waits.
    A process that somebody stopped alone, not its worker, gets tasks again: after a minute it
    works on them.
    """
    if leaving() and time.monotonic() - _told_at > _LONGEST:
        _leaving.clear()
    with long_work():
        yield


@contextmanager
def long_work() -> Iterator[None]:
    """Work that asks ``leaving`` often; meanwhile a stop signal does not kill the process.

    The handler is set here and not when the process starts, because Celery's pool sets its own
    after that. Outside the main thread signals cannot be taken, and need not be.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    global _told_at
    _told_at = time.monotonic()
    _leaving.set()

"""Leaving in good order: a worker told to stop ends its long work within seconds.

A stopped training run is let go of with its checkpoint, so the next worker goes on with it at
once instead of waiting until its heartbeat is stale.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_leaving = threading.Event()


def leaving() -> bool:
    """Whether this process was told to stop."""
    return _leaving.is_set()


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
    _leaving.set()

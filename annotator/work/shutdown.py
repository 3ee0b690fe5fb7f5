"""Leaving in good order: a worker told to stop ends its long work within seconds.

A stopped training run is let go of with its checkpoint, so the next worker goes on with it at
once instead of waiting until its heartbeat is stale.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_leaving = threading.Event()
_busy = threading.Event()


def leaving() -> bool:
    """Whether this process was told to stop."""
    return _leaving.is_set()


@contextmanager
def long_work() -> Iterator[None]:
    """Work that asks ``leaving`` often; a stop signal waits for it instead of killing it."""
    _busy.set()
    try:
        yield
    finally:
        _busy.clear()


def listen() -> None:
    """Take the stop signal; for processes that do nothing but work (Celery's pool)."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    _leaving.set()
    if not _busy.is_set():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

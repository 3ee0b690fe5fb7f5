"""The beating heart of long work: it says that a worker lives, what it does, and hears orders."""

from __future__ import annotations

import logging
import resource
import socket
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from django.db import connection

from annotator.services.runs import Order, run_beat
from annotator.work.shutdown import leaving
from training.errors import Cancelled

log = logging.getLogger(__name__)

_BEAT = 1.0  # seconds between heartbeats, so that a cancel is heard at once
_LINES = 200  # of a run's log that its page shows
# Loggers whose lines are part of a run's log.
_TOLD_BY = ("training", "annotator.work", "annotator.services.snapshots")
_MEMORY_STEP = 50  # MB: smaller changes are not worth an event to every watcher


class Heart:
    """Beats for a row in a thread with its own database connection, and hears orders."""

    beats_for = "run"

    def __init__(self, row_id: int, claim: str) -> None:
        self.row_id = row_id
        self.claim = claim
        self.order = Order.GO_ON
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Whether the work is to be left: cancelled, taken over, or the worker shuts down."""
        return self.order is not Order.GO_ON or leaving()

    def check(self) -> None:
        """Raise ``Cancelled`` when the work is to be left."""
        if self.should_stop():
            raise Cancelled

    def beat(self) -> Order:
        """Say that the work goes on, and hear whether it should."""
        raise NotImplementedError

    def _beat(self) -> None:
        try:
            while not self._stop.wait(_BEAT):
                try:
                    self.order = self.beat()
                except Exception:
                    # A database that restarts costs beats, not the run: whatever its driver
                    # raises, a heart that stood still would hand the run to a second worker.
                    log.exception("no heartbeat for %s %s", self.beats_for, self.row_id)
                    connection.close()
        finally:
            connection.close()


class RunHeart(Heart):
    """Beats for a training run, and tells its log, machine and progress with the beat."""

    def __init__(self, row_id: int, claim: str, device: str, before: str = "") -> None:
        super().__init__(row_id, claim)
        self._tail = _Tail(before)
        self._machine = {"host": socket.gethostname(), "device": device}
        self._told: dict[str, Any] = {}
        self.progress: dict[str, Any] = {}  # as in the run's row
        self._levels: dict[str, int] = {}
        self._telling = threading.Lock()

    def __enter__(self) -> RunHeart:
        for name in _TOLD_BY:
            logger = logging.getLogger(name)
            logger.addHandler(self._tail)
            # A worker may have been started to log warnings only.
            self._levels[name] = logger.level
            logger.setLevel(logging.INFO)
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for name in _TOLD_BY:
            logger = logging.getLogger(name)
            logger.removeHandler(self._tail)
            logger.setLevel(self._levels[name])

    def beat(self) -> Order:
        with self._telling:
            memory = _MEMORY_STEP * round(memory_mb() / _MEMORY_STEP)
            now = {
                "log": self._tail.text(),
                "machine": self._machine | {"memory_mb": memory},
                "progress": self.progress,
            }
            news = {key: value for key, value in now.items() if self._told.get(key) != value}
            order = run_beat(run_id=self.row_id, claim=self.claim, told=news)
            self._told |= news
            return order


class _Tail(logging.Handler):
    """The last lines that were logged."""

    def __init__(self, before: str) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._lines = deque(before.splitlines(), maxlen=_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        # The first line of a traceback says what; the rest is in the worker's own log.
        self._lines.append(self.format(record).splitlines()[0])

    def text(self) -> str:
        """The lines, oldest first; NUL, which no database takes, left out."""
        with self.lock or threading.RLock():
            return "\n".join(self._lines).replace("\0", "")


def memory_mb() -> float:
    """Resident memory of this process, MB; where the system does not tell it, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3

"""A real Celery worker with beat, on the test's database, storage and broker."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection


class Worker:
    """``with Worker(folder):`` runs one; it beats every second and finds orphans after three.

    ``slots``: what it does at once; further names are variables of its environment.
    """

    def __init__(self, folder: Path, *, slots: int = 2, **environment: str) -> None:
        self.log = folder / "worker.log"
        self._name = folder.name
        self._slots = slots
        self._environment = environment
        self._schedule = folder / "beat-schedule"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        environment = os.environ | {
            "DATABASE_URL": database_url(),
            "CYTOLOOP_VAR": str(settings.VAR_DIR),
            "BEAT_SECONDS": "1",
            "HEARTBEAT_SECONDS": "3",
            "OMP_NUM_THREADS": "1",
        }
        environment |= self._environment
        queues = ",".join(sorted({"cpu", settings.PREDICTION_QUEUE, settings.TRAINING_QUEUE}))
        command = [sys.executable, "-m", "celery", "-A", "annotator", "worker", "--beat"]
        command += ["--queues", queues, "--concurrency", str(self._slots), "--loglevel", "info"]
        command += ["--hostname", f"{self._name}@%h"]
        command += ["--schedule", str(self._schedule), "--without-mingle", "--without-gossip"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *error: object) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Send a signal to the worker and all of its processes, and wait until it is gone.

        One that does not leave in time is killed, as supervisord does: Celery waits for ever for
        the answer of a process that a signal has ended in the middle of a short task.
        """
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(60)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the worker and all of its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def stand_still(self) -> None:
        """Stop it and all of its processes, at a moment when they hold no lock of the database: on
        SQLite everybody would wait until they go on.
        """
        for _ in range(100):
            self.send(signal.SIGSTOP)
            if _is_free():
                return
            self.send(signal.SIGCONT)
            time.sleep(0.1)
        raise AssertionError("it was writing whenever it was stopped")

    def wait_for(self, what: Callable[[], bool], seconds: float = 60) -> None:
        """Return when ``what`` holds; fail with the worker's log when it does not in time."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s; the worker said:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self) -> str:
        """The last of what the worker logged."""
        return self.log.read_text(errors="replace")[-6000:]


def _is_free() -> bool:
    """Whether the test's database can be written to now; Postgres always can."""
    if connection.vendor != "sqlite":
        return True
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        database.rollback()
    return True


def database_url() -> str:
    """The test's own database, as the environment of another process names it."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    who = quote(database["USER"])
    if database["PASSWORD"]:
        who += f":{quote(database['PASSWORD'])}"
    return f"postgres://{who}@{database['HOST']}:{database['PORT']}/{database['NAME']}"

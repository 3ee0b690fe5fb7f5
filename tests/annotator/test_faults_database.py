"""The database dies under a training, or is kept locked: the run goes on and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import OperationalError, connection
from django.test import SimpleTestCase, TransactionTestCase

from annotator.models import ModelVersion, RunStatus, TrainingRun
from tests.annotator.faults import create, first_suite_only
from tests.annotator.own_services import Postgres, default_database
from tests.annotator.trained import make_trainable
from tests.annotator.workers import Worker, database_url

MINUTES = 0.25  # of training: no machine is through with them before its database is back
# Holds SQLite's write lock in the middle of a transaction, until it is told or killed.
WRITER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN IMMEDIATE")
held.execute("UPDATE annotator_trainingrun SET message = 'half of a transaction'")
print("held", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
"""


def trained_for_a_while() -> TrainingRun:
    """A run that ends by the clock, so that it is as long on any machine."""
    dataset = make_trainable(train=2, test=1)
    return create(dataset, 10**4, minutes=MINUTES, patience=0.0)


def said(worker: Worker) -> str:
    """All that a worker has logged."""
    return worker.log.read_text(errors="replace")


def says(worker: Worker, words: str) -> bool:
    """Whether a worker has logged them."""
    return words in said(worker)


def assert_went_on(test: SimpleTestCase, run: TrainingRun, worker: Worker) -> None:
    """The run is done, and each epoch was trained once and is told."""
    test.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{worker.tail()}")
    epochs = list(run.epoch_rows.values_list("epoch", flat=True))
    test.assertEqual(epochs, list(range(1, run.epoch + 1)))
    trained = Counter(re.findall(r"Epoch (\d+)(?: of \d+)?: training", said(worker)))
    test.assertEqual(trained, Counter(str(epoch) for epoch in epochs))
    test.assertEqual(ModelVersion.objects.count(), 1)


class PostgresTest(SimpleTestCase):
    databases = {"default"}

    def test_a_killed_postgres_that_comes_back_finds_the_run_where_it_is(self) -> None:
        first_suite_only()
        folder = Path(self.enterContext(TemporaryDirectory()))
        postgres = Postgres(Path(self.enterContext(TemporaryDirectory())))
        self.enterContext(postgres)
        self.enterContext(default_database(postgres.url))
        run = trained_for_a_while()
        with Worker(folder, HEARTBEAT_SECONDS="30") as worker:
            worker.wait_for(lambda: TrainingRun.objects.get(pk=run.pk).epoch >= 2)
            held = TrainingRun.objects.get(pk=run.pk)
            connection.close()
            postgres.kill()
            with self.assertRaises(OperationalError):
                TrainingRun.objects.get(pk=run.pk)
            connection.close()
            worker.wait_for(lambda: "no heartbeat for run" in said(worker))
            postgres.start()
            worker.wait_for(lambda: TrainingRun.objects.get(pk=run.pk).epoch > held.epoch)
            self.assertEqual(TrainingRun.objects.get(pk=run.pk).claim, held.claim)
            worker.wait_for(lambda: TrainingRun.objects.get(pk=run.pk).status in RunStatus.over())
        assert_went_on(self, TrainingRun.objects.get(pk=run.pk), worker)


class SqliteTest(TransactionTestCase):
    def setUp(self) -> None:
        first_suite_only()
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        self.run_row = trained_for_a_while()
        self.writer: subprocess.Popen[bytes] | None = None
        self.addCleanup(self.end_writer)

    def row(self) -> TrainingRun:
        return TrainingRun.objects.get(pk=self.run_row.pk)

    def hold(self) -> subprocess.Popen[bytes]:
        """Another process that holds the write lock."""
        self.writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(connection.settings_dict["NAME"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.writer.stdout is not None
        self.assertEqual(self.writer.stdout.readline(), b"held\n")
        return self.writer

    def end_writer(self) -> None:
        if self.writer is not None:
            self.writer.kill()
            self.writer.communicate()

    def test_a_writer_killed_in_its_transaction_leaves_no_lock_and_no_half(self) -> None:
        with Worker(self.folder, HEARTBEAT_SECONDS="30") as worker:
            worker.wait_for(lambda: self.row().epoch >= 2)
            writer = self.hold()
            time.sleep(1)
            os.kill(writer.pid, signal.SIGKILL)
            worker.wait_for(lambda: self.row().status in RunStatus.over())
        self.assertNotIn("half of a transaction", self.row().message)
        assert_went_on(self, self.row(), worker)

    def test_a_lock_held_for_longer_than_anybody_waits_costs_no_epoch(self) -> None:
        impatient = f"{database_url()}?timeout=1"
        with Worker(self.folder, HEARTBEAT_SECONDS="30", DATABASE_URL=impatient) as worker:
            worker.wait_for(lambda: self.row().epoch >= 2)
            writer = self.hold()
            # Longer than the worker waits: an epoch could not be told, nor a heart beat.
            for told in ("waits for the database", "no heartbeat for run", "database is locked"):
                worker.wait_for(partial(says, worker, told))
            writer.communicate(b"")
            worker.wait_for(lambda: self.row().status in RunStatus.over())
        assert_went_on(self, self.row(), worker)

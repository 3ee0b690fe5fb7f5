"""A stop, or a death, while a run's result is stored; and a worker that is told to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from django.test import SimpleTestCase, TransactionTestCase

from annotator import storage
from annotator.models import ModelVersion, RunStatus, TrainingRun
from annotator.work import shutdown
from annotator.work.training import work_on_run
from tests.annotator.faults import PowerCut, create
from tests.annotator.trained import make_trainable
from training.engine import EpochReport


class StoringTest(TransactionTestCase):
    def setUp(self) -> None:
        self.run_row = create(make_trainable(train=2, test=1), 2)
        self.epochs: list[int] = []
        self.addCleanup(shutdown._leaving.clear)

    def work(self, storing: Callable[[str], None] = lambda key: None) -> TrainingRun:
        """One worker's part of the run; ``storing`` is called before each file of its model."""
        put = storage.put

        def watched(key: str, content: bytes | Path) -> str:
            if key.startswith("models/"):
                storing(key)
            return put(key, content)

        def count(report: EpochReport) -> None:
            self.epochs.append(report.epoch)

        with mock.patch.object(storage, "put", watched):
            work_on_run(self.run_row.pk, count)
        return TrainingRun.objects.get(pk=self.run_row.pk)

    def assert_done_once(self) -> None:
        run = self.work()
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertEqual(self.epochs, [1, 2], "each was trained once")
        self.assertEqual(ModelVersion.objects.get(), run.candidate)

    def test_a_worker_told_to_stop_stores_the_model_and_lets_go_of_the_run(self) -> None:
        run = self.work(lambda key: shutdown._leaving.set())
        self.assertEqual((run.status, run.claim), (RunStatus.TRAINING, ""))
        self.assertEqual(run.candidate, ModelVersion.objects.get())
        shutdown._leaving.clear()
        self.assert_done_once()

    def test_a_worker_killed_there_leaves_it_to_the_next_to_be_stored(self) -> None:
        for part in ("weights.safetensors", "meta.json"):

            def cut(key: str, part: str = part) -> None:
                if key.endswith(part):
                    raise PowerCut

            with self.subTest(part), self.assertRaises(PowerCut):
                self.work(cut)
            self.assertFalse(ModelVersion.objects.exists())
            TrainingRun.objects.update(heartbeat_at=None)  # time goes by
        self.assert_done_once()


class TaskTest(SimpleTestCase):
    def setUp(self) -> None:
        self.addCleanup(shutdown._leaving.clear)

    def test_a_stop_lets_a_task_come_to_its_end(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        with shutdown.whole_task():
            os.kill(os.getpid(), signal.SIGTERM)
            self.assertTrue(shutdown.leaving())
        self.assertIs(signal.getsignal(signal.SIGTERM), before)
        with shutdown.whole_task():  # one that was handed out before the worker stopped
            self.assertTrue(shutdown.leaving())

    def test_a_process_that_was_stopped_alone_works_again_after_a_while(self) -> None:
        with shutdown.whole_task():
            os.kill(os.getpid(), signal.SIGTERM)
        later = time.monotonic() + 61
        with mock.patch("time.monotonic", return_value=later), shutdown.whole_task():
            self.assertFalse(shutdown.leaving())

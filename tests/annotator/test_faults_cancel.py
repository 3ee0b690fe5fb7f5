"""Cancel is heard within ten seconds, whatever a real worker is at."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TransactionTestCase

from annotator.models import Dataset, RunStatus, TrainingRun
from annotator.services.runs import run_cancel, run_resume
from tests.annotator.factories import make_dataset
from tests.annotator.faults import create, first_suite_only
from tests.annotator.trained import TINY, add_drawn, add_large, make_trainable
from tests.annotator.workers import Worker

PROMISED = 10.0  # seconds


class CancelTest(TransactionTestCase):
    def setUp(self) -> None:
        first_suite_only()
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def cancelled(self, worker: Worker, run: TrainingRun, at: Callable[[TrainingRun], bool]) -> str:
        """Cancel when ``at`` holds, and see that the promise is kept; the status it was in."""

        def row() -> TrainingRun:
            return TrainingRun.objects.get(pk=run.pk)

        worker.wait_for(lambda: at(row()))
        before = row()
        self.assertNotIn(before.status, RunStatus.over(), before.message)
        began = time.monotonic()
        run_cancel(run=before)
        worker.wait_for(lambda: row().status in RunStatus.over())
        seconds = time.monotonic() - began
        self.assertEqual(row().status, RunStatus.CANCELLED, row().message)
        self.assertLess(seconds, PROMISED, f"while {before.status}")
        return before.status

    def test_while_it_waits_for_a_worker(self) -> None:
        run = create(make_trainable(train=2, test=1))
        began = time.monotonic()
        self.assertEqual(run_cancel(run=run).status, RunStatus.CANCELLED)
        self.assertLess(time.monotonic() - began, PROMISED)

    def test_while_a_large_snapshot_is_prepared(self) -> None:
        dataset = large(images=12)
        run = create(dataset)
        with Worker(self.folder) as worker:
            found = self.cancelled(worker, run, lambda row: row.status == RunStatus.PREPARING)
            self.assertEqual(found, RunStatus.PREPARING)
            run_resume(run=run, wake=False)
            # The snapshot is written; now the flows of its cells are computed.
            found = self.cancelled(
                worker, run, lambda row: row.progress.get("step") == "preparing images"
            )
            self.assertEqual(found, RunStatus.PREPARING)
            self.assertEqual(TrainingRun.objects.get(pk=run.pk).epoch, 0)

    def test_within_a_batch_that_takes_long(self) -> None:
        dataset = make_trainable(train=2, test=1)
        run = create(dataset, 2, width=32, crop=512, batch_size=12, crops_per_epoch=96)
        with Worker(self.folder) as worker:
            worker.wait_for(lambda: TrainingRun.objects.get(pk=run.pk).status == RunStatus.TRAINING)
            time.sleep(2)  # the first batch has begun and is far from its end
            found = self.cancelled(worker, run, lambda row: True)
            self.assertEqual(found, RunStatus.TRAINING)
            self.assertEqual(TrainingRun.objects.get(pk=run.pk).epoch, 0)

    def test_while_it_is_evaluated(self) -> None:
        dataset = make_trainable(train=2, test=0)
        for seed in range(2):
            add_large(dataset, seed, "test", side=4)
        run = create(dataset, 1, width=32, fixed_diameter=12.0)
        with Worker(self.folder) as worker:
            found = self.cancelled(worker, run, lambda row: row.status == RunStatus.EVALUATING)
            self.assertEqual(found, RunStatus.EVALUATING)
            run.refresh_from_db()
            self.assertIsNotNone(run.candidate)


def large(images: int) -> Dataset:
    """A data set of images that take a while to prepare."""
    dataset = make_dataset(training=TINY)
    for seed in range(images):
        add_large(dataset, seed, "train")
    add_drawn(dataset, 100, "test")
    return dataset

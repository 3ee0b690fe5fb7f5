"""A worker stands still, is taken for dead, and goes on: what it writes then counts for nothing."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import TransactionTestCase, tag
from django.utils import timezone

from annotator.exceptions import Conflict
from annotator.models import ModelVersion, RunStatus, TrainingRun
from annotator.services.versions import version_create, version_folder
from annotator.work.training import run_folder, work_on_run
from inference import checkpoint
from tests.annotator.faults import create
from tests.annotator.trained import make_trainable
from tests.annotator.workers import Worker
from training.engine import EpochReport
from training.kept import read_checkpoint, taken_over

EPOCHS = 40


@tag("broker")
class TwiceTest(TransactionTestCase):
    def setUp(self) -> None:
        self.first = Path(self.enterContext(TemporaryDirectory()))
        self.second = Path(self.enterContext(TemporaryDirectory()))
        self.run_row = create(make_trainable(train=2, test=1), EPOCHS)

    def row(self) -> TrainingRun:
        return TrainingRun.objects.get(pk=self.run_row.pk)

    def test_a_worker_that_has_not_heard_of_its_successor_writes_where_nobody_reads(self) -> None:
        successor = str(uuid.uuid4())

        def taken(report: EpochReport) -> None:
            if report.epoch == 2:
                TrainingRun.objects.update(claim=successor, heartbeat_at=timezone.now())
                taken_over(run_folder(self.run_row), successor)

        work_on_run(self.run_row.pk, taken)
        run = self.row()
        self.assertEqual((run.claim, run.status, run.epoch), (successor, RunStatus.TRAINING, 2))
        state = read_checkpoint(run_folder(run) / successor)
        assert state is not None
        self.assertEqual(state["epoch"], 2)
        self.assertEqual([each.name for each in run_folder(run).iterdir()], [successor])
        with self.assertRaises(Conflict):  # had it come as far as to its model
            version_create(
                dataset=run.dataset,
                family=run.family,
                folder=run_folder(run) / successor,
                run=run,
                claim=self.run_row.claim or "the one that was taken for dead",
            )
        self.assertFalse(ModelVersion.objects.exists())

    def test_a_stopped_worker_that_goes_on_spoils_nothing_of_its_successor(self) -> None:
        with Worker(self.first) as stopped:
            stopped.wait_for(lambda: self.row().epoch >= 2)
            stopped.stand_still()
            stood = self.row()
            with Worker(self.second) as other:
                other.wait_for(lambda: self.row().epoch > stood.epoch)
                stopped.send(signal.SIGCONT)
                other.wait_for(lambda: self.row().epoch > stood.epoch + 3)
                taken = self.row()
                self.assertNotIn(taken.claim, ("", stood.claim))
                folder = run_folder(taken) / taken.claim
                state = read_checkpoint(folder)
                assert state is not None
                self.assertGreater(state["epoch"], stood.epoch)
                self.assertTrue(checkpoint.is_whole(folder))
                other.wait_for(lambda: self.row().status in RunStatus.over())
        run = self.row()
        self.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{other.tail()}")
        self.assertEqual(ModelVersion.objects.filter(family="segmenter").count(), 1)
        epochs = list(run.epoch_rows.values_list("epoch", flat=True))
        self.assertEqual(epochs, list(range(1, EPOCHS + 1)))
        assert run.candidate is not None
        self.assertTrue(checkpoint.is_whole(version_folder(run.candidate)))
        (left,) = (each for each in run_folder(run).iterdir() if each.is_dir())
        self.assertEqual(left.name, taken.claim)

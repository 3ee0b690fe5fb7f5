"""A real worker dies while it trains: the run goes on and ends, and nothing is stuck."""

from __future__ import annotations

import signal
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.test import TransactionTestCase, tag
from django.utils import timezone

from annotator.models import RunEpoch, RunStatus, TrainingRun
from annotator.selectors.runs import waiting_runs
from annotator.services.runs import RunRequest, run_create
from annotator.storage import keys_under
from tests.annotator.trained import make_trainable
from tests.annotator.workers import Worker
from training.kept import CHECKPOINT

EPOCHS = 40  # seconds of training, so that there is a middle to die in


@tag("broker")
class RecoveryTest(TransactionTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(TemporaryDirectory()))
        dataset = make_trainable(train=2, test=1)
        request = RunRequest(
            dataset, "segmenter", "a test", base="scratch", config={"epochs": EPOCHS, "patience": 0}
        )
        self.run_row = run_create(request=request)

    def row(self) -> TrainingRun:
        return TrainingRun.objects.get(pk=self.run_row.pk)

    def first_epoch(self) -> RunEpoch:
        return RunEpoch.objects.get(run=self.run_row, epoch=1)

    def test_a_killed_run_and_one_that_was_told_to_stop_are_finished_by_the_next(self) -> None:
        with Worker(self.folder) as worker:
            worker.wait_for(lambda: self.row().epoch >= 2)
            worker.end(signal.SIGKILL)
        killed, first = self.row(), self.first_epoch()
        self.assertEqual(killed.status, RunStatus.TRAINING)
        self.assertNotEqual(killed.claim, "")

        with Worker(self.folder) as worker:
            worker.wait_for(lambda: self.row().epoch > killed.epoch)
            worker.end(signal.SIGTERM)
        stopped = self.row()
        # Let go of in good order: the next worker need not wait until it is thought dead.
        self.assertEqual((stopped.status, stopped.claim), (RunStatus.TRAINING, ""))

        with Worker(self.folder) as worker:
            worker.wait_for(lambda: self.row().status in RunStatus.over())
        run = self.row()
        self.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{worker.tail()}")
        self.assertEqual(str(run.candidate), "segmenter-1")
        epochs = list(run.epoch_rows.values_list("epoch", flat=True))
        self.assertEqual(epochs, list(range(1, EPOCHS + 1)))
        # It went on where it was: the first epoch was not trained a second time.
        self.assertEqual(self.first_epoch().seconds, first.seconds)
        # (A first detector may be waiting by now: the policy starts it for the new segmenter.)
        self.assertFalse(waiting_runs(timezone.now()).filter(pk=run.pk).exists())

    def test_a_run_whose_machine_is_lost_goes_on_on_another(self) -> None:
        if not settings.STORE_CHECKPOINTS:
            self.skipTest("machines share their objects by S3; this suite has a folder")
        here, there = (Path(self.enterContext(TemporaryDirectory())) for _ in range(2))
        with Worker(self.folder, CYTOLOOP_VAR=str(here), CHECKPOINT_SECONDS="1") as worker:
            stored = f"checkpoints/{self.run_row.pk}"
            worker.wait_for(lambda: any(key.endswith(CHECKPOINT) for key in keys_under(stored)))
            worker.wait_for(lambda: self.row().epoch >= 3)
            worker.end(signal.SIGKILL)
        first = self.first_epoch()
        with Worker(self.folder, CYTOLOOP_VAR=str(there)) as worker:
            worker.wait_for(lambda: self.row().status in RunStatus.over())
        self.assertEqual(self.row().status, RunStatus.DONE, worker.tail())
        self.assertEqual(self.first_epoch().seconds, first.seconds)
        self.assertEqual(self.row().epoch_rows.count(), EPOCHS)
        self.assertEqual(keys_under(f"checkpoints/{self.run_row.pk}"), [])

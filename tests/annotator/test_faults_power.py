"""The power fails while files are on their way to the disk: a run goes on from what is whole."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.test import TransactionTestCase, override_settings

from annotator.models import ModelVersion, RunStatus, TrainingRun
from annotator.services.snapshots import ARRAYS, snapshot_folder
from annotator.services.versions import version_folder
from annotator.work.training import run_folder
from inference import checkpoint
from tests.annotator.faults import broken_off, create, cut_short, worked
from tests.annotator.trained import make_trainable
from training.dataset import MANIFEST, PREPARED
from training.kept import CHECKPOINT, METRICS

EPOCHS = 4


@override_settings(STORE_CHECKPOINTS=False)  # what this machine's disk has is looked at
class PowerTest(TransactionTestCase):
    def setUp(self) -> None:
        self.run_row = create(make_trainable(train=2, test=1), EPOCHS)

    def assert_done(self) -> TrainingRun:
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{run.log}")
        epochs = list(run.epoch_rows.values_list("epoch", flat=True))
        self.assertEqual(epochs, list(range(1, EPOCHS + 1)))
        self.assertEqual(ModelVersion.objects.count(), 1)
        assert run.candidate is not None
        self.assertTrue(checkpoint.is_whole(version_folder(run.candidate)))
        return run

    def test_a_run_goes_on_from_its_last_epoch_and_tells_the_epoch_nobody_had_written_down(self):
        folder = broken_off(self.run_row, 2)
        TrainingRun.objects.get(pk=self.run_row.pk).epoch_rows.filter(epoch=2).delete()
        run = self.assert_done()
        self.assertIn("Going on from epoch 2", run.log)
        self.assertNotIn("Epoch 1 of", run.log.split("Going on")[1])
        self.assertFalse(folder.exists(), "what the dead worker has left goes with it")

    def test_a_checkpoint_cut_short_begins_the_training_anew_and_says_so(self):
        for share in (0.5, 0.0):
            with self.subTest(share=share):
                cut_short(broken_off(self.run_row, 2) / CHECKPOINT, share)
        run = self.assert_done()
        self.assertIn("cut short or damaged", run.log)
        self.assertIn("Epoch 1 of", run.log.rsplit("cut short or damaged", 1)[1])

    def test_a_checkpoint_with_a_hole_of_zeros_is_noticed(self):
        file = broken_off(self.run_row, 1) / CHECKPOINT
        with file.open("r+b") as stream:
            stream.seek(file.stat().st_size // 2)
            stream.write(bytes(4096))
        self.assertIn("cut short or damaged", self.assert_done().log)

    def test_weights_or_their_meta_cut_short_are_written_again(self):
        with self.assertLogs("training.engine", "WARNING") as said:
            cut_short(broken_off(self.run_row, 1) / checkpoint.WEIGHTS)
            cut_short(broken_off(self.run_row, 2) / checkpoint.META)
            cut_short(broken_off(self.run_row, 3) / checkpoint.META, 0.0)
            # With its last epoch behind it, a run would store them as they are.
            cut_short(broken_off(self.run_row, EPOCHS) / checkpoint.WEIGHTS, 0.0)
            self.assert_done()
        for epoch, line in enumerate(said.output, 1):
            self.assertIn(f"those of epoch {epoch} take their place", line)
        self.assertEqual(len(said.output), EPOCHS)

    def test_a_curve_cut_short_is_written_again(self):
        cut_short(broken_off(self.run_row, EPOCHS) / METRICS)
        run = self.assert_done()
        (file,) = run_folder(run).rglob(METRICS)
        self.assertEqual(len([json.loads(line) for line in file.read_text().splitlines()]), EPOCHS)

    def test_a_snapshot_cut_short_is_written_again(self):
        broken_off(self.run_row, 1)
        run = TrainingRun.objects.select_related("snapshot").get(pk=self.run_row.pk)
        assert run.snapshot is not None
        folder = snapshot_folder(run.snapshot)
        cut_short(folder / MANIFEST)
        for array in sorted((folder / "images").iterdir())[:2]:
            cut_short(array)  # the one that all snapshots share, as they are links
        cut_short(next((folder / "labels").iterdir()), 0.0)
        for number, array in enumerate(sorted((folder / PREPARED).iterdir())):
            cut_short(array, (0.0, 0.5)[number % 2])
        run = self.assert_done()
        self.assertIn("the snapshot is written again", run.log)
        for part in (folder / "images", Path(settings.SNAPSHOTS_DIR) / ARRAYS):
            self.assertFalse([file for file in part.iterdir() if file.suffix == ".part"])

    def test_arrays_cut_short_under_a_whole_manifest_are_read_from_storage_again(self):
        broken_off(self.run_row, 1)
        run = TrainingRun.objects.select_related("snapshot").get(pk=self.run_row.pk)
        assert run.snapshot is not None
        cut_short(next((snapshot_folder(run.snapshot) / "images").iterdir()))
        self.assertIn("read from storage again", self.assert_done().log)

    def test_a_fetched_model_cut_short_is_fetched_again(self):
        run = self.assert_done()
        assert run.candidate is not None
        for name in (checkpoint.WEIGHTS, checkpoint.META):
            cut_short(version_folder(run.candidate) / name)
            with self.assertLogs("annotator.services.versions", "WARNING"):
                folder = version_folder(run.candidate)
            self.assertTrue(checkpoint.is_whole(folder))

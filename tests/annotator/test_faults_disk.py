"""Disks that are really full: a run says so and where, loses nothing, and goes on when resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

from django.conf import settings
from django.test import TransactionTestCase, override_settings

from annotator import storage
from annotator.exceptions import Unavailable
from annotator.models import Image, ModelVersion, Revision, RunStatus, TrainingRun
from annotator.services.runs import run_resume
from annotator.work.training import run_folder, work_on_run
from inference import checkpoint
from tests.annotator.faults import create, filled, first_suite_only, small_disk, worked
from tests.annotator.trained import make_trainable
from training.engine import EpochReport
from training.kept import CHECKPOINT, read_checkpoint

EPOCHS = 4


class DiskTest(TransactionTestCase):
    def setUp(self) -> None:
        first_suite_only()
        self.disk = self.enterContext(small_disk(24))
        self.enterContext(
            override_settings(RUNS_DIR=self.disk / "runs", SNAPSHOTS_DIR=self.disk / "snapshots")
        )
        self.dataset = make_trainable(train=2, test=1)
        self.run_row = create(self.dataset, EPOCHS)

    def assert_full(self, run: TrainingRun, where: Path) -> None:
        self.assertEqual(run.status, RunStatus.FAILED, run.message)
        self.assertRegex(run.message, rf"^The disk is full where {where}.* lies \(\d+ MB free\):")
        self.assertEqual(run.message.count("."), run.message.rstrip(".").count(".") + 1)

    def assert_resumed(self) -> TrainingRun:
        run = worked(run_resume(run=self.run_row, wake=False))
        self.assertEqual(run.status, RunStatus.DONE, f"{run.message}\n{run.log}")
        epochs = list(run.epoch_rows.values_list("epoch", flat=True))
        self.assertEqual(epochs, list(range(1, EPOCHS + 1)))
        return run

    def leftovers(self) -> list[str]:
        """Halves of files, which would keep the space that the others need."""
        return [file.name for file in self.disk.rglob(".*") if file.is_file()]

    def test_a_disk_that_is_too_small_refuses_the_run_at_once(self) -> None:
        Image.objects.update(width=4000, height=3000)
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertRegex(
            run.message,
            r"^Preparing this training takes up to 0\.\d GB of disk in .*, where 0\.0 GB are left",
        )
        self.assertEqual(list((self.disk / "snapshots").iterdir()), [])

    def test_a_disk_that_fills_while_a_snapshot_is_written(self) -> None:
        revisions = Revision.objects.count()
        # The look before sees room: the disk fills after it.
        self.enterContext(mock.patch("annotator.work.training.check_disk"))
        for leave in (0, 70_000, 150_000):  # nothing, a part, and nearly all of the arrays
            with self.subTest(leave=leave), filled(self.disk, leave):
                self.assert_full(worked(self.run_row), self.disk / "snapshots")
                self.assertEqual(self.leftovers(), [])
            run_resume(run=self.run_row, wake=False)
        TrainingRun.objects.update(status=RunStatus.FAILED)
        self.assert_resumed()
        self.assertEqual(Revision.objects.count(), revisions)

    def test_a_disk_that_fills_while_a_checkpoint_is_written(self) -> None:
        first = create_other(self)
        assert first.candidate is not None
        for share in (0.0, 0.1, 0.9):  # of a checkpoint is left: for nothing, or a part of it
            with self.subTest(share=share):
                run = self.filled_after_its_next_epoch(share)
                self.assert_full(run, run_folder(run))
                self.assertEqual(self.leftovers(), [])
                (kept,) = run_folder(run).rglob(CHECKPOINT)
                state = read_checkpoint(kept.parent)
                assert state is not None
                self.assertEqual(state["epoch"], run.epoch)
                run_resume(run=self.run_row, wake=False)
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertIn("Going on from epoch 3", run.log)
        self.assertEqual(list(run.epoch_rows.values_list("epoch", flat=True)), [1, 2, 3, 4])
        self.assertEqual(ModelVersion.objects.count(), 2)
        self.assertTrue(storage.get(f"{first.candidate.key}/{checkpoint.WEIGHTS}"))

    def filled_after_its_next_epoch(self, share: float) -> TrainingRun:
        with ExitStack() as until_it_ends:

            def fill(report: EpochReport) -> None:
                size = next(run_folder(self.run_row).rglob(CHECKPOINT)).stat().st_size
                until_it_ends.enter_context(filled(self.disk, int(share * size)))

            work_on_run(self.run_row.pk, fill)
        self.run_row.refresh_from_db()
        return self.run_row


def create_other(test: DiskTest) -> TrainingRun:
    """A run that ends well before the disk is full; the test's own waits for it."""
    TrainingRun.objects.update(status=RunStatus.CANCELLED)
    other = worked(create(test.dataset, 1))
    TrainingRun.objects.filter(pk=test.run_row.pk).update(status=RunStatus.QUEUED)
    return other


class StorageDiskTest(TransactionTestCase):
    def test_weights_that_find_object_storage_full_are_stored_when_the_run_is_resumed(self) -> None:
        first_suite_only()
        with small_disk(8) as disk, stored_on(disk):
            run = create(make_trainable(train=2, test=1), EPOCHS)
            with filled(disk, 20_000):
                worked(run)
                self.assertEqual(run.status, RunStatus.FAILED, run.message)
                self.assertRegex(run.message, "^The disk of object storage is full")
                self.assertEqual([file for file in disk.rglob(".*") if file.is_file()], [])
                with self.assertRaises(Unavailable):
                    storage.put("test/large", bytes(100_000))
            self.assertEqual(ModelVersion.objects.count(), 0)
            before = run.epoch_rows.get(epoch=1).seconds
            worked(run_resume(run=run, wake=False))
            self.assertEqual(run.status, RunStatus.DONE, run.message)
            self.assertEqual(run.epoch_rows.get(epoch=1).seconds, before)
            self.assertEqual(str(run.candidate), "segmenter-1")


@contextmanager
def stored_on(disk: Path) -> Iterator[None]:
    """Objects lie on ``disk``."""
    options = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(disk / "objects"), "allow_overwrite": True},
    }
    with override_settings(STORAGES=settings.STORAGES | {"default": options}):
        yield

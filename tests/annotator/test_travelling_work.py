"""Checkpoints in object storage: what another machine finds of a run that it goes on with."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import TransactionTestCase, override_settings
from django.utils import timezone

from annotator import storage
from annotator.models import RunEpoch, RunStatus, TrainingRun
from annotator.work.training import run_folder, work_on_run
from annotator.work.travelling import checkpoint_fetch, checkpoints_prune
from tests.annotator.faults import PowerCut, create, worked
from tests.annotator.trained import make_trainable
from training.engine import EpochReport
from training.kept import CHECKPOINT, newest_epoch

EPOCHS = 4


@override_settings(STORE_CHECKPOINTS=True, CHECKPOINT_SECONDS=0)
class TravellingTest(TransactionTestCase):
    def setUp(self) -> None:
        for key in storage.keys_under("checkpoints"):  # of other tests' runs
            storage.delete(key)
        self.run_row = create(make_trainable(train=2, test=1), EPOCHS)

    def stored(self) -> list[str]:
        return storage.keys_under(f"checkpoints/{self.run_row.pk}")

    def stored_epochs(self) -> set[int]:
        whole = (key for key in self.stored() if key.endswith(CHECKPOINT))
        return {int(key.split("/")[2].split("-")[0]) for key in whole}

    def power_cut_after(self, epoch: int) -> None:
        """The worker is gone once that epoch is stored."""

        def cut(report: EpochReport) -> None:
            if report.epoch != epoch:
                return
            until = time.monotonic() + 60
            while self.stored_epochs() != {epoch} and time.monotonic() < until:
                time.sleep(0.05)
            raise PowerCut

        with self.assertRaises(PowerCut):
            work_on_run(self.run_row.pk, cut)
        TrainingRun.objects.update(heartbeat_at=None)  # time goes by

    def test_a_run_goes_on_from_the_epoch_that_is_stored(self) -> None:
        self.power_cut_after(2)
        self.assertEqual(self.stored_epochs(), {2})
        seconds = RunEpoch.objects.get(epoch=1).seconds
        shutil.rmtree(run_folder(self.run_row))
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertEqual(list(run.epoch_rows.values_list("epoch", flat=True)), [1, 2, 3, 4])
        self.assertEqual(RunEpoch.objects.get(epoch=1).seconds, seconds)
        self.assertIn("comes from another machine", run.log)
        self.assertEqual(self.stored(), [])

    def test_what_this_machine_has_is_not_fetched(self) -> None:
        self.power_cut_after(2)
        folder = run_folder(self.run_row)
        there = sorted(folder.iterdir())
        checkpoint_fetch(self.run_row, folder)
        self.assertEqual(sorted(folder.iterdir()), there)
        self.assertEqual(newest_epoch(folder), 2)

    def test_a_set_without_its_checkpoint_is_not_whole(self) -> None:
        self.power_cut_after(2)
        for key in self.stored():
            if key.endswith(CHECKPOINT):
                storage.delete(key)
        shutil.rmtree(run_folder(self.run_row))
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertNotIn("comes from another machine", run.log)

    def test_what_was_being_fetched_when_somebody_died_is_not_gone_on_with(self) -> None:
        self.power_cut_after(2)
        (claim,) = (each for each in run_folder(self.run_row).iterdir() if each.is_dir())
        half = claim.rename(claim.with_name(".stored-2.x"))
        (half / "weights.safetensors").unlink()
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertIn("Epoch 2 of run", run.log)
        self.assertNotIn("cut short", run.log)
        self.assertFalse(half.exists())

    def test_checkpoints_of_ended_and_deleted_runs_are_removed(self) -> None:
        self.power_cut_after(1)
        stored = self.stored()
        storage.put("checkpoints/999999/000001-x/checkpoint.pt", b"of a run that is deleted")
        checkpoints_prune(timezone.now())
        self.assertEqual(storage.keys_under("checkpoints"), stored)
        over = {"status": RunStatus.CANCELLED, "finished_at": timezone.now()}
        TrainingRun.objects.update(**over)
        checkpoints_prune(timezone.now() - timedelta(days=1))
        self.assertEqual(self.stored(), stored)
        checkpoints_prune(timezone.now() + timedelta(days=1))
        self.assertEqual(self.stored(), [])

    def test_what_somebody_else_has_put_there_ends_no_run_and_stays(self) -> None:
        strays = ["checkpoints/README", f"checkpoints/{self.run_row.pk}/notes/checkpoint.pt"]
        for key in strays:
            storage.put(key, b"mine")
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertEqual(storage.keys_under("checkpoints"), sorted(strays))

    def test_a_storage_that_fails_costs_no_training(self) -> None:
        if not isinstance(default_storage, FileSystemStorage):
            self.skipTest("a folder is put in the way of the objects")
        in_the_way = settings.VAR_DIR / "objects" / "checkpoints"
        shutil.rmtree(in_the_way, ignore_errors=True)
        in_the_way.write_text("no folder")
        self.addCleanup(in_the_way.unlink)
        run = worked(self.run_row)
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertIn("was not stored", run.log)

    @override_settings(STORE_CHECKPOINTS=False)
    def test_nothing_is_stored_where_that_is_off(self) -> None:
        seen: set[int] = set()
        work_on_run(self.run_row.pk, lambda report: seen.update(self.stored_epochs()))
        self.assertEqual(seen, set())

"""Working on runs with real, tiny networks: from the snapshot to the gate."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
import time
from datetime import timedelta
from typing import Any
from unittest import mock

from django.db import OperationalError, connection
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from annotator.models import Dataset, Evaluation, ModelVersion, Revision, RunStatus, TrainingRun
from annotator.services.runs import RunRequest, run_cancel, run_create, run_resume
from annotator.services.versions import version_promote
from annotator.work.training import run_folder, run_folders_prune, work_on_run
from inference.builtin import licence_of
from tests.annotator.factories import (
    is_stored,
    make_dataset,
    make_image,
    make_revision,
    make_version,
    square_labels,
)
from tests.annotator.trained import add_drawn, make_trainable
from tests.people import client_of, make_people
from training.engine import EpochReport
from training.kept import CHECKPOINT


def create(dataset: Dataset, **options: Any) -> TrainingRun:
    options.setdefault("base", "scratch")
    return run_create(request=RunRequest(dataset, "segmenter", "a test", **options))


def worked(run: TrainingRun, **options: Any) -> TrainingRun:
    work_on_run(run.pk, **options)
    run.refresh_from_db()
    return run


def made(run: TrainingRun) -> ModelVersion:
    """The version that a run made."""
    assert run.candidate is not None, run.message
    return run.candidate


class WorkTest(TransactionTestCase):
    """Not in one transaction: the heartbeat's thread must see the rows."""

    def test_a_run_ends_with_a_version_its_curve_and_its_metrics(self) -> None:
        dataset = make_trainable()
        run = worked(create(dataset, config={"epochs": 2}))
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        version = made(run)
        self.assertEqual(version.version, "segmenter-1")
        self.assertTrue(is_stored(f"{version.key}/weights.safetensors"))
        self.assertEqual([row.epoch for row in run.epoch_rows.all()], [1, 2])
        self.assertEqual((run.epoch, run.epochs), (2, 2))
        evaluation = version.evaluations.get()
        self.assertEqual((evaluation.split, evaluation.images), ("test", 1))
        self.assertIn("ap50", evaluation.metrics)
        self.assertEqual(len(evaluation.per_image), 1)
        self.assertFalse(any(run_folder(run).rglob(CHECKPOINT)))

    def test_a_run_tells_its_log_and_its_machine(self) -> None:
        # As in a worker that was started to log warnings only.
        for name in ("training", "annotator.work"):
            logger = logging.getLogger(name)
            self.addCleanup(logger.setLevel, logger.level)
            logger.setLevel(logging.WARNING)
        run = worked(create(make_trainable(), config={"epochs": 2}))
        self.assertEqual(run.machine["host"], socket.gethostname())
        self.assertRegex(run.machine["device"], "CPU|NVIDIA")
        self.assertGreater(run.machine["memory_mb"], 100)
        for line in ("is preparing", "Epoch 2 of 2: training loss", "is evaluating"):
            self.assertIn(line, run.log)
        people = make_people(run.dataset)
        answer = client_of(people.vera).get(f"/api/v1/training-runs/{run.pk}/").json()
        self.assertEqual((answer["log"], answer["machine"]), (run.log, run.machine))
        listed = client_of(people.vera).get("/api/v1/training-runs/").json()["results"][0]
        self.assertNotIn("log", listed)

    def test_a_failed_run_keeps_its_log(self) -> None:
        dataset = make_trainable()
        run = create(dataset, config={"epochs": 1})
        Revision.objects.all().delete()
        run = worked(run)
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertIn("no training image", run.log)

    def test_candidate_and_current_are_measured_on_the_same_images(self) -> None:
        dataset = make_trainable()
        first = made(worked(create(dataset)))
        version_promote(version=first)
        add_drawn(dataset, 101, "test")
        second = made(worked(create(dataset, base="current")))
        self.assertEqual(second.parent, first)
        hashes = {
            version: set(
                Evaluation.objects.filter(version=version).values_list("frozen_hash", flat=True)
            )
            for version in (first, second)
        }
        # The first was measured on one test image, then with the second on both.
        self.assertEqual(len(hashes[first]), 2)
        self.assertEqual(len(hashes[second]), 1)
        self.assertLess(hashes[second], hashes[first])

    def test_without_a_corrected_test_image_the_validation_images_must_do(self) -> None:
        dataset = make_trainable(test=0)
        add_drawn(dataset, 50, "validation")
        run = worked(create(dataset))
        self.assertEqual(made(run).evaluations.get().split, "validation")
        self.assertIn("no test image has been corrected", run.message)

    def test_skipped_images_are_named_in_the_message(self) -> None:
        dataset = make_trainable()
        make_revision(make_image(dataset, "sparse.tif", split="train"), labels=square_labels(2))
        run = worked(create(dataset))
        self.assertIn("fewer than 5 masks: sparse.tif", run.message)

    def test_start_weights_that_cannot_be_had_fail_the_run_in_one_sentence(self) -> None:
        dataset = make_trainable()
        with self.assertLogs("annotator.work.training", "WARNING"):
            run = worked(
                run_create(
                    request=RunRequest(dataset, "detector", "a test", base="file:/no/backbone.pt")
                )
            )
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertIn("/no/backbone.pt", run.message)
        self.assertFalse(ModelVersion.objects.exists())

    def test_the_licence_of_published_weights_is_in_the_log_before_these_come(
        self,
    ) -> None:
        away = mock.patch("inference.builtin.urllib.request.urlopen", side_effect=OSError("away"))
        cache = mock.patch("annotator.work.training.places", dict)
        with away, cache, self.assertLogs("annotator.work.training", "WARNING"):
            run = worked(create(make_trainable(), base="cyto3"))
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertIn("could not be downloaded", run.message)
        self.assertIn(f"Starts from cyto3. {licence_of('cyto3')}", run.log)

    def test_a_run_whose_start_was_deleted_does_not_begin_elsewhere(self) -> None:
        dataset = make_trainable()
        start = make_version(dataset)
        run = create(dataset, base=start.version)
        start.delete()
        with self.assertLogs("annotator.work.training", "WARNING"):
            run = worked(run)
        self.assertEqual(run.status, RunStatus.FAILED)
        self.assertIn("was to start from was deleted", run.message)
        self.assertFalse(ModelVersion.objects.exists())

    def test_a_start_that_is_deleted_during_the_training_costs_no_model(self) -> None:
        dataset = make_trainable()
        start = made(worked(create(dataset, config={"epochs": 1})))
        run = create(dataset, base=start.version, config={"epochs": 1})
        run = worked(run, on_epoch=lambda _: ModelVersion.objects.filter(pk=start.pk).delete())
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertIsNone(made(run).parent)
        self.assertTrue(run.lost_base)

    def test_a_database_that_fails_every_time_ends_the_run(self) -> None:
        run = create(make_trainable(train=1))
        broken = mock.patch(
            "annotator.work.training._worked", side_effect=OperationalError("disk full")
        )
        for status in (RunStatus.QUEUED, RunStatus.QUEUED, RunStatus.FAILED):
            TrainingRun.objects.update(heartbeat_at=None)
            with broken, self.assertLogs("annotator.work.training", "ERROR"):
                worked(run)
            self.assertEqual(run.status, status)
        self.assertIn("disk full", run.message)

    def test_nobody_else_works_on_a_held_run(self) -> None:
        run = create(make_trainable(train=1))
        taken = []

        def rival(report: EpochReport) -> None:
            taken.append(work_on_run(run.pk))

        worked(run, on_epoch=rival)
        self.assertEqual(taken, [False])
        self.assertFalse(work_on_run(run.pk), "the run is over")


class FoldersTest(TestCase):
    def test_folders_of_runs_that_ended_long_ago_are_removed(self) -> None:
        now, dataset = timezone.now(), make_dataset()
        runs = [
            TrainingRun.objects.create(
                dataset=dataset, family="segmenter", reason="", status=status, finished_at=ended
            )
            for status, ended in (
                (RunStatus.FAILED, now - timedelta(days=31)),
                (RunStatus.CANCELLED, now - timedelta(days=29)),
                (RunStatus.TRAINING, None),
            )
        ]
        for run in runs:
            run_folder(run).mkdir(parents=True, exist_ok=True)
            self.addCleanup(shutil.rmtree, run_folder(run), ignore_errors=True)
        run_folders_prune(now)
        self.assertEqual([run_folder(run).exists() for run in runs], [False, True, True])


class CancelTest(TransactionTestCase):
    def test_a_cancel_is_heard_within_seconds_and_the_run_resumes_where_it_was(self) -> None:
        dataset = make_trainable(train=1)
        run = create(dataset, config={"epochs": 400})
        began = threading.Event()

        def work() -> None:
            try:
                work_on_run(run.pk, on_epoch=lambda report: began.set())
            finally:
                connection.close()

        worker = threading.Thread(target=work)
        worker.start()
        self.assertTrue(began.wait(60))
        run_cancel(run=run)
        asked = time.monotonic()
        worker.join(20)
        self.assertLess(time.monotonic() - asked, 5)
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.CANCELLED)
        reached = run.epoch
        self.assertGreater(reached, 0)

        run_resume(run=run)
        seen: list[int] = []

        def stop(report: EpochReport) -> None:
            seen.append(report.epoch)
            run_cancel(run=TrainingRun.objects.get(pk=run.pk))

        worked(run, on_epoch=stop)
        self.assertEqual(seen[0], reached + 1)
        self.assertEqual(run.status, RunStatus.CANCELLED)

    def test_a_run_cancelled_after_its_last_epoch_only_has_to_be_measured(self) -> None:
        run = create(make_trainable(train=1))

        def cancel(report: EpochReport) -> None:
            run_cancel(run=TrainingRun.objects.get(pk=run.pk))
            time.sleep(2)  # until the heartbeat has brought it

        worked(run, on_epoch=cancel)
        self.assertEqual(run.status, RunStatus.CANCELLED)
        run_resume(run=run)
        again: list[EpochReport] = []
        worked(run, on_epoch=again.append)
        self.assertEqual((run.status, made(run).version), (RunStatus.DONE, "segmenter-1"))
        self.assertEqual(again, [])

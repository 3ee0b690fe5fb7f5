"""What beat does: runs that are due start by themselves, and nothing starts twice."""

from __future__ import annotations

from datetime import timedelta

from django.test import TestCase
from django.utils import timezone

from annotator.models import Dataset, Prediction, QueueItem, RunStatus, TrainingRun
from annotator.work.upkeep import start_due_runs, upkeep
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)


def started(dataset: Dataset) -> list[TrainingRun]:
    return start_due_runs(dataset=dataset, now=timezone.now())


class RetrainingTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(retrain_after_cells=10, types=())
        self.current = make_version(self.dataset)

    def correct(self, cells: int, split: str = "train") -> None:
        make_revision(make_image(self.dataset, split=split), labels=square_labels(cells))

    def test_enough_corrected_cells_start_a_run_from_the_current_version(self) -> None:
        self.correct(9)
        self.assertEqual(started(self.dataset), [])
        self.correct(6)
        (run,) = started(self.dataset)
        self.assertEqual(run.base, self.current)
        self.assertEqual(run.reason, "15 newly corrected cells")
        self.assertIsNone(run.requested_by)

    def test_corrections_that_only_measure_start_nothing(self) -> None:
        self.correct(6)
        for split in ("validation", "test"):
            self.correct(20, split)
        self.assertEqual(started(self.dataset), [])

    def test_cells_count_once(self) -> None:
        self.correct(12)
        (run,) = started(self.dataset)
        self.assertEqual(started(self.dataset), [], "one is live")
        TrainingRun.objects.filter(pk=run.pk).update(
            status=RunStatus.FAILED, started_at=timezone.now()
        )
        self.assertEqual(started(self.dataset), [], "a failed run is not tried again and again")
        self.correct(12)
        self.assertEqual(len(started(self.dataset)), 1)

    def end(self, run: TrainingRun, status: str, ago: timedelta) -> None:
        ended = timezone.now() - ago
        TrainingRun.objects.filter(pk=run.pk).update(
            status=status, started_at=timezone.now(), finished_at=ended
        )

    def test_a_failed_run_is_tried_again_after_a_wait_that_grows(self) -> None:
        self.correct(12)
        for hours in (1, 4, 16):
            (run,) = started(self.dataset)
            self.end(run, RunStatus.FAILED, timedelta(hours=hours - 0.5))
            self.assertEqual(started(self.dataset), [])
            self.end(run, RunStatus.FAILED, timedelta(hours=hours + 0.5))
        (run,) = started(self.dataset)
        self.assertEqual(run.reason, "12 newly corrected cells")
        self.end(run, RunStatus.DONE, timedelta(hours=99))
        self.assertEqual(started(self.dataset), [])

    def test_what_somebody_cancelled_is_not_started_again(self) -> None:
        self.correct(12)
        (run,) = started(self.dataset)
        self.end(run, RunStatus.CANCELLED, timedelta(days=99))
        self.assertEqual(started(self.dataset), [])

    def test_a_run_that_learnt_from_an_older_snapshot_does_not_undo_what_is_learnt(self) -> None:
        self.correct(12)
        now = timezone.now()
        (run,) = started(self.dataset)
        self.end(run, RunStatus.DONE, timedelta(0))
        for status in (RunStatus.DONE, RunStatus.CANCELLED, RunStatus.FAILED):
            # A model from elsewhere, or the best of a search.
            TrainingRun.objects.create(
                dataset=self.dataset,
                family="segmenter",
                reason="trained elsewhere",
                status=status,
                started_at=now - timedelta(days=3),
                finished_at=timezone.now(),
            )
            self.assertEqual(started(self.dataset), [])

    def test_zero_cells_means_never(self) -> None:
        self.dataset.retrain_after_cells = 0
        self.correct(40)
        self.assertEqual(started(self.dataset), [])

    def test_a_schedule_runs_only_when_there_is_something_new(self) -> None:
        self.dataset.retrain_after_cells = 0
        self.dataset.retrain_every_hours = 24
        self.current.created_at = timezone.now() - timedelta(hours=25)
        self.current.save()
        self.assertEqual(started(self.dataset), [])
        self.correct(6)
        (run,) = started(self.dataset)
        self.assertEqual(run.reason, "every 24 hours")

    def test_a_data_set_without_a_model_is_left_to_its_people(self) -> None:
        dataset = make_dataset(retrain_after_cells=1)
        make_revision(make_image(dataset, split="train"), labels=square_labels(9))
        self.assertEqual(started(dataset), [])


class BootstrapTest(TestCase):
    def test_five_masked_images_start_the_first_segmenter_from_scratch(self) -> None:
        dataset = make_dataset(training={"bootstrap": True})
        for number in range(5):
            self.assertEqual(started(dataset), [])
            image = make_image(dataset, f"HEK_a_{number}.tif", split="train")
            make_revision(image, labels=square_labels(6))
        (run,) = started(dataset)
        self.assertEqual((run.family, run.config["start"]), ("segmenter", "scratch"))
        TrainingRun.objects.update(status=RunStatus.FAILED)
        self.assertEqual(started(dataset), [])

    def test_the_first_detector_waits_for_the_single_type_images(self) -> None:
        dataset = make_dataset()
        images = [make_image(dataset, f"HEK_a_{n}.tif", split="train") for n in range(2)]
        version = make_version(dataset)
        make_prediction(images[0], version)
        self.assertEqual(started(dataset), [])
        make_prediction(images[1], version)
        (run,) = started(dataset)
        self.assertEqual(run.family, "detector")
        self.assertIn("segmenter-1 has predicted", run.reason)

    def test_without_types_there_is_no_detector(self) -> None:
        dataset = make_dataset(types=())
        make_prediction(make_image(dataset, split="train"), make_version(dataset))
        self.assertEqual(started(dataset), [])


class RoundTest(TestCase):
    def test_a_data_set_in_trouble_does_not_keep_the_others_from_their_upkeep(self) -> None:
        broken = make_dataset("a-broken", training=[])
        make_revision(make_image(broken, split="train"), labels=square_labels(9))
        image = make_image(make_dataset("b-sound"))
        with self.assertLogs("annotator.work.upkeep", "ERROR"):
            upkeep()
        self.assertTrue(QueueItem.objects.filter(image=image).exists())

    def test_a_round_fills_the_queue_and_may_be_repeated(self) -> None:
        dataset = make_dataset()
        make_prediction(make_image(dataset, split="train"), make_version(dataset))
        make_image(dataset, split="train")
        upkeep()
        upkeep()
        self.assertEqual(QueueItem.objects.count(), 1)
        self.assertEqual(Prediction.objects.count(), 1)

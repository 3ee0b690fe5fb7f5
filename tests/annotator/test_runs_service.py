"""Training runs: starting, claiming, cancelling, resuming."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import TestCase
from django.utils import timezone

from annotator.exceptions import BadInput, Conflict, NotHere, NotReady
from annotator.models import Dataset, RunEpoch, RunStatus, TrainingRun
from annotator.selectors.runs import waiting_runs
from annotator.services.runs import (
    Order,
    RunRequest,
    run_beat,
    run_cancel,
    run_claim,
    run_create,
    run_epoch_record,
    run_finish,
    run_release,
    run_resume,
)
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)


def ready(**fields: Any) -> Dataset:
    """A data set with one training image of six masks."""
    dataset = make_dataset(**fields)
    make_revision(make_image(dataset, split="train"), labels=square_labels(6))
    return dataset


def create(dataset: Dataset, family: str = "segmenter", **options: Any) -> TrainingRun:
    return run_create(request=RunRequest(dataset, family, "a test", **options))


def claimed(run: TrainingRun) -> str:
    claim = run_claim(run_id=run.pk)
    assert claim is not None
    return claim


def silence(run: TrainingRun) -> None:
    """Let the run's worker be dead for an hour."""
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))


class CreateTest(TestCase):
    def test_too_few_masks_are_told_with_what_to_do(self) -> None:
        dataset = make_dataset()
        make_revision(make_image(dataset, split="train"), labels=square_labels(4))
        with self.assertRaisesMessage(NotReady, "at least 5 masked cells"):
            create(dataset)

    def test_masks_of_test_images_teach_nothing(self) -> None:
        dataset = make_dataset()
        make_revision(make_image(dataset, split="test"), labels=square_labels(6))
        with self.assertRaises(NotReady):
            create(dataset)

    def test_a_detector_needs_types_and_typed_cells(self) -> None:
        with self.assertRaisesMessage(NotReady, "has no cell types"):
            create(make_dataset(types=()), "detector")
        dataset = make_dataset()
        image = make_image(dataset, "HEK_a_1.tif", split="train")
        with self.assertRaisesMessage(NotReady, "single-type images"):
            create(dataset, "detector")
        make_prediction(image)
        self.assertEqual(create(dataset, "detector").status, RunStatus.QUEUED)

    def test_images_with_nothing_complete_yet_teach_by_their_name_alone(self) -> None:
        dataset = make_dataset()
        for name in ("HEK_a_1.tif", "mixed_a_1.tif"):
            image = make_image(dataset, name, split="train")
            make_prediction(image)
            make_revision(image, labels=square_labels(6), complete_regions=[])
        with self.assertRaises(NotReady):
            create(dataset, "segmenter")
        self.assertEqual(create(dataset, "detector").status, RunStatus.QUEUED)
        make_revision(image, labels=square_labels(6), complete_regions=[[0, 0, 30, 30]])
        self.assertEqual(create(dataset, "segmenter").status, RunStatus.QUEUED)

    def test_a_mixed_image_with_nothing_complete_yet_teaches_nothing(self) -> None:
        dataset = make_dataset()
        image = make_image(dataset, "mixed_a_1.tif", split="train")
        make_prediction(image)
        make_revision(image, labels=square_labels(6), complete_regions=[])
        for family in ("segmenter", "detector"):
            with self.assertRaises(NotReady):
                create(dataset, family)

    def test_two_clicks_make_one_run(self) -> None:
        dataset = ready()
        run = create(dataset)
        with self.assertRaisesMessage(Conflict, f"Run {run.pk} already trains a segmenter"):
            create(dataset)

    def test_a_first_segmenter_starts_from_published_weights_unless_told_otherwise(self) -> None:
        dataset = ready()
        self.assertEqual(create(dataset).config["start"], "cyto3")
        TrainingRun.objects.update(status=RunStatus.FAILED)
        self.assertEqual(create(dataset, base="scratch").config["start"], "scratch")

    def test_a_later_one_goes_on_from_the_current_version(self) -> None:
        dataset = ready()
        current = make_version(dataset)
        make_version(dataset, stage="retired")
        self.assertEqual(create(dataset).base, current)

    def test_it_rejects_a_start_that_does_not_exist(self) -> None:
        dataset = ready()
        make_version(dataset, "detector")
        with self.assertRaisesMessage(NotHere, "it has detector-1"):
            create(dataset, base="segmenter-7")
        with self.assertRaisesMessage(BadInput, "is no segmenter"):
            create(dataset, base="detector-1")

    def test_it_rejects_a_setting_that_does_not_exist(self) -> None:
        with self.assertRaisesMessage(BadInput, "no training setting epoch"):
            create(ready(), config={"epoch": 3})

    def test_the_data_sets_settings_yield_to_the_callers(self) -> None:
        dataset = ready(training={"segmenter": {"width": 8, "epochs": 9}})
        config = create(dataset, base="scratch", config={"epochs": 2}).config
        self.assertEqual(config, {"width": 8, "epochs": 2, "start": "scratch"})


class ClaimTest(TestCase):
    def setUp(self) -> None:
        self.run_row = create(ready())
        self.pk = self.run_row.pk

    def test_one_worker_gets_the_run(self) -> None:
        self.assertIsNotNone(run_claim(run_id=self.pk))
        self.assertIsNone(run_claim(run_id=self.pk))

    def test_a_silent_workers_run_waits_for_the_next(self) -> None:
        first = claimed(self.run_row)
        self.assertFalse(waiting_runs(timezone.now()).exists())
        silence(self.run_row)
        self.assertTrue(waiting_runs(timezone.now()).exists())
        second = run_claim(run_id=self.pk)
        self.assertNotEqual(first, second)
        # The first one was only slow: it must not touch the run any more.
        self.assertIs(run_beat(run_id=self.pk, claim=first), Order.LET_GO)
        self.assertFalse(run_finish(run_id=self.pk, claim=first, status=RunStatus.DONE, message=""))

    def test_a_heartbeat_keeps_the_run_and_hears_the_cancel(self) -> None:
        claim = claimed(self.run_row)
        self.assertIs(run_beat(run_id=self.pk, claim=claim), Order.GO_ON)
        run_cancel(run=self.run_row)
        self.assertIs(run_beat(run_id=self.pk, claim=claim), Order.CANCEL)

    def test_a_run_that_kills_three_workers_fails_with_what_to_do(self) -> None:
        for _ in range(3):
            claimed(self.run_row)
            silence(self.run_row)
        self.assertIsNone(run_claim(run_id=self.pk))
        self.run_row.refresh_from_db()
        self.assertEqual(self.run_row.status, RunStatus.FAILED)
        self.assertIn("lower batch_size or crop, then resume", self.run_row.message)
        self.assertFalse(waiting_runs(timezone.now()).exists())
        run_resume(run=self.run_row)
        claimed(self.run_row)

    def test_an_epoch_or_a_stop_in_good_order_is_no_death(self) -> None:
        for number in range(1, 9):
            claim = claimed(self.run_row)
            if number % 2:
                point = RunEpoch(epoch=number, train_loss=0.5, seconds=2.0)
                run_epoch_record(run_id=self.pk, claim=claim, point=point, epochs=9, left=1.0)
                silence(self.run_row)
            else:
                run_release(run_id=self.pk, claim=claim)

    def test_a_released_run_can_be_taken_at_once(self) -> None:
        run_release(run_id=self.pk, claim=claimed(self.run_row))
        self.assertIsNotNone(run_claim(run_id=self.pk))

    def test_an_epoch_told_twice_is_one_point(self) -> None:
        claim = claimed(self.run_row)
        for loss in (0.5, 0.4):
            point = RunEpoch(epoch=1, train_loss=loss, metrics={"ap50": 0.1}, seconds=2.0)
            run_epoch_record(run_id=self.pk, claim=claim, point=point, epochs=9, left=16.0)
        self.run_row.refresh_from_db()
        self.assertEqual((self.run_row.epoch, self.run_row.epochs), (1, 9))
        self.assertEqual(self.run_row.epoch_rows.get().train_loss, 0.4)


class EndTest(TestCase):
    def setUp(self) -> None:
        self.dataset = ready()
        self.run_row = create(self.dataset)

    def test_a_run_nobody_works_on_is_cancelled_at_once(self) -> None:
        self.assertEqual(run_cancel(run=self.run_row).status, RunStatus.CANCELLED)
        with self.assertRaisesMessage(Conflict, "nothing to cancel"):
            run_cancel(run=self.run_row)

    def test_a_run_whose_worker_died_is_cancelled_at_once(self) -> None:
        run_claim(run_id=self.run_row.pk)
        silence(self.run_row)
        self.assertEqual(run_cancel(run=self.run_row).status, RunStatus.CANCELLED)

    def test_a_cancelled_run_can_be_resumed(self) -> None:
        run_cancel(run=self.run_row)
        run = run_resume(run=self.run_row)
        self.assertEqual((run.status, run.cancel_requested), (RunStatus.QUEUED, False))
        self.assertIsNotNone(run_claim(run_id=run.pk))

    def test_a_run_whose_start_was_deleted_cannot_be_resumed(self) -> None:
        run_cancel(run=self.run_row)
        start = make_version(self.dataset)
        run = create(self.dataset, base=start.version)
        run_cancel(run=run)
        start.delete()
        run.refresh_from_db()
        with self.assertRaisesMessage(Conflict, "start from was deleted"):
            run_resume(run=run)

    def test_a_live_or_finished_run_cannot_be_resumed(self) -> None:
        with self.assertRaisesMessage(Conflict, "only a failed or cancelled run"):
            run_resume(run=self.run_row)

    def test_a_run_cannot_be_resumed_beside_another_of_its_family(self) -> None:
        run_cancel(run=self.run_row)
        create(self.dataset)
        with self.assertRaisesMessage(Conflict, "already trains"):
            run_resume(run=self.run_row)

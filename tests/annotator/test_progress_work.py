"""Each step of a run tells how far it is and how long the rest will take."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.test import SimpleTestCase, TransactionTestCase

from annotator.models import RunStatus, TrainingRun
from annotator.services.runs import RunRequest, run_create
from annotator.services.versions import version_promote
from annotator.work.heart import RunHeart
from annotator.work.progress import Clock
from annotator.work.training import work_on_run
from tests.annotator.trained import add_drawn, make_trainable


class ClockTest(SimpleTestCase):
    def setUp(self) -> None:
        self.now = 100.0
        self.heart = RunHeart(1, "", "CPU")

    def clock(self, **options: Any) -> Clock:
        return Clock(self.heart, "reading images", now=lambda: self.now, **options)

    def left(self, clock: Clock, done: int, of: int, seconds: float = 0.0) -> float | None:
        self.now += seconds
        clock.tell(done, of)
        told = self.heart.progress
        self.assertEqual((told["step"], told["done"], told["of"]), ("reading images", done, of))
        return told["seconds_left"]

    def test_the_pace_of_the_images_so_far_tells_the_time_left(self) -> None:
        clock = self.clock()
        self.assertIsNone(self.left(clock, 0, 4))
        self.assertEqual(self.left(clock, 1, 4, 2.0), 6.0)
        self.assertEqual(self.left(clock, 2, 4, 4.0), 6.0)
        self.assertEqual(self.left(clock, 3, 4, 3.0), 3.0)
        self.assertEqual(self.left(clock, 4, 4, 3.0), 0.0)

    def test_images_that_were_there_already_do_not_promise_an_early_end(self) -> None:
        clock = self.clock()
        clock.tell(0, 600)
        for done in range(1, 501):
            self.left(clock, done, 600, 0.001)
        for done in range(501, 509):
            self.left(clock, done, 600, 2.0)
        self.assertEqual(self.heart.progress["seconds_left"], 2.0 * (600 - 508))

    def test_what_comes_after_it_counts_and_a_second_part_begins_anew(self) -> None:
        clock = self.clock(later=10)
        clock.tell(0, 2)
        self.assertEqual(self.left(clock, 1, 2, 1.0), 11.0)
        self.assertEqual(self.left(clock, 2, 2, 1.0), 10.0)
        self.assertIsNone(self.left(clock, 0, 5))
        self.assertEqual(self.left(clock, 1, 5, 3.0), 42.0)


class StepsTest(TransactionTestCase):
    def steps(self, run: TrainingRun) -> list[tuple[str, str, int, int]]:
        """(status, step, done, of) as the run's row had them after each image."""
        plain = Clock.tell
        seen: list[tuple[str, str, int, int]] = []

        def tell(clock: Clock, done: int, of: int) -> None:
            plain(clock, done, of)
            clock._heart.beat()  # as the next second would
            row = TrainingRun.objects.get(pk=run.pk)
            told = row.progress
            seen.append((row.status, told["step"], told["done"], told["of"]))
            self.assertEqual(row.time_left is None, done == 0)

        with mock.patch.object(Clock, "tell", tell):
            work_on_run(run.pk)
        run.refresh_from_db()
        self.assertEqual(run.status, RunStatus.DONE, run.message)
        self.assertEqual((run.progress, run.time_left), ({}, None))
        return seen

    def create(self, **options: Any) -> TrainingRun:
        request = RunRequest(self.dataset, "segmenter", "a test", base="scratch", **options)
        return run_create(request=request)

    def test_reading_preparing_trying_and_measuring_are_told_image_by_image(self) -> None:
        self.dataset = make_trainable(train=2, test=2)
        add_drawn(self.dataset, 50, "validation")
        run = self.create(config={"epochs": 2})
        seen = self.steps(run)
        expected = [
            (status, step, done, of)
            for status, step, of in (
                (RunStatus.PREPARING, "reading images", 5),
                (RunStatus.PREPARING, "preparing images", 3),
                (RunStatus.EVALUATING, "trying segmenter-1", 2),
                (RunStatus.EVALUATING, "measuring segmenter-1", 2),
            )
            for done in range(of + 1)
        ]
        self.assertEqual(seen, expected)
        shares = [point.waiting for point in run.epoch_rows.all()]
        self.assertEqual(len(shares), 2)
        self.assertTrue(all(share is not None and 0 <= share <= 1 for share in shares), shares)
        # What is there already takes no step, and the current version is not measured again.
        assert run.candidate is not None
        version_promote(version=run.candidate)
        steps = {step for _, step, _, _ in self.steps(self.create())}
        known = {"preparing images", "trying segmenter-2", "measuring segmenter-2"}
        self.assertEqual(steps, known)

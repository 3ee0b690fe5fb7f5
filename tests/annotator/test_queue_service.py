"""The queue: who gets which image, for how long, and why it is there."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from annotator.exceptions import BadInput, Conflict
from annotator.models import Outcome, PredictionAttempt, QueueItem
from annotator.services.queue import (
    queue_heartbeat,
    queue_refresh,
    queue_release,
    queue_skip,
)
from annotator.services.queue import queue_next as ask_next
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)


def user(name: str) -> User:
    return get_user_model().objects.create_user(name)


def queue_next(**asked: Any) -> QueueItem:
    """The item that is leased; there must be one."""
    item = ask_next(**asked)
    assert item is not None
    return item


def teach() -> float:
    """A lot that asks for a training image."""
    return 0.99


def measure() -> float:
    """A lot that asks for a validation or test image."""
    return 0.0


class FillingTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()

    def test_before_any_model_every_image_waits_at_random(self) -> None:
        for number in range(4):
            make_image(self.dataset, f"HEK_a_{number}.tif")
        queue_refresh(dataset=self.dataset)
        self.assertEqual(QueueItem.objects.count(), 4)
        reason = QueueItem.objects.all()[0].reasons[0]
        self.assertEqual(reason["text"], "no model yet: chosen at random")

    def test_before_any_model_the_cultures_take_turns(self) -> None:
        for number in range(8):
            make_image(self.dataset, f"HEK_a_{number}.tif", split="train")
        make_image(self.dataset, "N2a_a_1.tif", split="train")
        queue_refresh(dataset=self.dataset)
        first = QueueItem.objects.order_by("-score")[:2]
        self.assertEqual({item.image.culture for item in first}, {"HEK", "N2a"})

    def test_the_most_uncertain_training_image_comes_first(self) -> None:
        version = make_version(self.dataset)
        for uncertainty in (0.2, 0.9, 0.4):
            image = make_image(self.dataset, split="train")
            make_prediction(image, version, uncertainty=uncertainty)
        queue_refresh(dataset=self.dataset)
        item = queue_next(dataset=self.dataset, annotator=user("bob"), draw=teach)
        self.assertEqual(item.score, 0.9)
        self.assertIn("overall uncertainty", item.reasons[0]["text"])

    def test_test_images_are_ranked_by_lot_and_not_by_uncertainty(self) -> None:
        version = make_version(self.dataset)
        image = make_image(self.dataset, split="test")
        make_prediction(image, version, uncertainty=1.0)
        queue_refresh(dataset=self.dataset)
        item = QueueItem.objects.get()
        self.assertLess(item.score, 1.0)
        self.assertEqual(item.reasons[0]["text"], "chosen at random to measure the models")

    def test_refreshing_twice_changes_nothing(self) -> None:
        version = make_version(self.dataset)
        for split in ("train", "test"):
            make_prediction(make_image(self.dataset, split=split), version)
        self.assertEqual(queue_refresh(dataset=self.dataset), 2)
        before = list(QueueItem.objects.values_list("pk", "score").order_by("pk"))
        self.assertEqual(queue_refresh(dataset=self.dataset), 0)
        self.assertEqual(list(QueueItem.objects.values_list("pk", "score").order_by("pk")), before)

    def test_a_new_prediction_moves_the_open_item(self) -> None:
        image = make_image(self.dataset, split="train")
        queue_refresh(dataset=self.dataset)
        prediction = make_prediction(image, make_version(self.dataset), uncertainty=0.7)
        queue_refresh(dataset=self.dataset)
        item = QueueItem.objects.get()
        self.assertEqual((item.prediction, item.score), (prediction, 0.7))

    def test_an_item_in_somebodys_hands_keeps_its_prediction(self) -> None:
        image = make_image(self.dataset, split="train")
        old = make_prediction(image, make_version(self.dataset))
        item = queue_next(dataset=self.dataset, annotator=user("bob"))
        self.assertEqual(item.prediction, old)
        self.dataset.versions.update(stage="retired")
        make_prediction(image, make_version(self.dataset), uncertainty=0.9)
        queue_refresh(dataset=self.dataset)
        item.refresh_from_db()
        self.assertEqual(item.prediction, old)

    def test_an_image_that_got_a_revision_leaves_the_queue(self) -> None:
        image = make_image(self.dataset)
        queue_refresh(dataset=self.dataset)
        make_revision(image)
        queue_refresh(dataset=self.dataset)
        item = QueueItem.objects.get()
        self.assertIsNotNone(item.closed_at)
        self.assertIsNone(ask_next(dataset=self.dataset, annotator=user("bob")))

    def test_an_image_that_cannot_be_predicted_is_offered_with_the_reason(self) -> None:
        image = make_image(self.dataset)
        PredictionAttempt.objects.create(
            image=image,
            segmenter=make_version(self.dataset),
            message="the file is damaged",
            retry_after=timezone.now(),
        )
        queue_refresh(dataset=self.dataset)
        self.assertIn("the file is damaged", QueueItem.objects.get().reasons[0]["text"])


class LeaseTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(lease_minutes=30)
        self.version = make_version(self.dataset)
        self.bob, self.eve = user("bob"), user("eve")

    def add(self, split: str = "train", uncertainty: float = 0.5) -> None:
        make_prediction(
            make_image(self.dataset, split=split), self.version, uncertainty=uncertainty
        )
        queue_refresh(dataset=self.dataset)

    def lease(self, who: User, **options: Any) -> QueueItem:
        return queue_next(dataset=self.dataset, annotator=who, **options)

    def expire(self, item: QueueItem) -> None:
        QueueItem.objects.filter(pk=item.pk).update(
            leased_until=timezone.now() - timedelta(seconds=1)
        )

    def test_two_annotators_get_two_images_and_the_third_none(self) -> None:
        self.add()
        self.add()
        first, second = self.lease(self.bob), self.lease(self.eve)
        self.assertNotEqual(first.pk, second.pk)
        mallory = user("mallory")
        self.assertIsNone(ask_next(dataset=self.dataset, annotator=mallory))

    def test_who_holds_an_image_gets_it_again(self) -> None:
        self.add(uncertainty=0.1)
        item = self.lease(self.bob)
        self.add(uncertainty=0.9)
        self.assertEqual(self.lease(self.bob).pk, item.pk)

    def test_an_expired_lease_lets_the_next_annotator_in(self) -> None:
        self.add()
        item = self.lease(self.bob)
        self.expire(item)
        self.assertEqual(self.lease(self.eve).pk, item.pk)
        with self.assertRaisesMessage(Conflict, "in the hands of eve"):
            queue_heartbeat(item=item, annotator=self.bob)

    def test_a_lease_that_ran_out_is_taken_up_again_when_nobody_came(self) -> None:
        self.add()
        item = self.lease(self.bob)
        self.expire(item)
        renewed = queue_heartbeat(item=item, annotator=self.bob)
        assert renewed.leased_until is not None
        self.assertGreater(renewed.leased_until, timezone.now() + timedelta(minutes=29))

    def test_a_released_image_goes_to_the_next_annotator(self) -> None:
        self.add()
        item = self.lease(self.bob)
        queue_release(item=item, annotator=self.bob)
        self.assertEqual(self.lease(self.eve).pk, item.pk)

    def test_only_the_holder_may_release_or_skip(self) -> None:
        self.add()
        item = self.lease(self.bob)
        with self.assertRaises(Conflict):
            queue_release(item=item, annotator=self.eve)
        with self.assertRaises(Conflict):
            queue_skip(item=item, annotator=self.eve, reason="not mine")

    def test_a_skip_says_why(self) -> None:
        self.add()
        item = self.lease(self.bob)
        with self.assertRaises(BadInput):
            queue_skip(item=item, annotator=self.bob, reason="  ")

    def test_a_skipped_image_comes_back_only_with_a_newer_prediction(self) -> None:
        self.add()
        item = self.lease(self.bob)
        queue_skip(item=item, annotator=self.bob, reason="out of focus")
        item.refresh_from_db()
        self.assertEqual((item.outcome, item.note), (Outcome.SKIPPED, "out of focus"))
        self.assertIsNone(ask_next(dataset=self.dataset, annotator=self.eve))
        self.dataset.versions.update(stage="retired")
        make_prediction(item.image, make_version(self.dataset))
        self.assertEqual(self.lease(self.eve).image, item.image)

    def test_a_fixed_share_of_asks_measures_the_models(self) -> None:
        self.add("train", 0.9)
        self.add("test")
        self.assertEqual(self.lease(self.bob, draw=measure).image.split, "test")
        self.assertEqual(self.lease(self.eve, draw=measure).image.split, "train")

    def test_a_lease_of_another_data_set_does_not_count(self) -> None:
        self.add()
        other = make_dataset()
        image = make_image(other)
        self.lease(self.bob)
        self.assertEqual(queue_next(dataset=other, annotator=self.bob).image, image)

    def test_the_next_image_costs_few_queries_however_long_the_queue(self) -> None:
        for _ in range(3):
            self.add()
        with self.assertNumQueries(6):  # savepoint, user, held?, candidates, update, release
            self.lease(self.bob, draw=teach)


class RaceTest(TransactionTestCase):
    """Real threads with their own connections, on SQLite and on Postgres alike."""

    def lease_at_once(self, dataset: Any, annotators: list[User]) -> list[int | None]:
        barrier = threading.Barrier(len(annotators))
        got: list[int | None] = []

        def ask(annotator: User) -> None:
            try:
                barrier.wait()
                item = ask_next(dataset=dataset, annotator=annotator)
                got.append(item.pk if item else None)
            finally:
                connection.close()

        threads = [threading.Thread(target=ask, args=(one,)) for one in annotators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return got

    def test_annotators_asking_at_once_never_get_the_same_image(self) -> None:
        dataset = make_dataset()
        version = make_version(dataset)
        for _ in range(5):
            make_prediction(make_image(dataset), version)
        got = self.lease_at_once(dataset, [user(f"annotator{n}") for n in range(8)])
        leased = [pk for pk in got if pk is not None]
        self.assertEqual(len(got), 8)
        self.assertEqual(len(leased), 5)
        self.assertEqual(len(set(leased)), 5)

    def test_two_tabs_of_one_annotator_get_one_image(self) -> None:
        dataset = make_dataset()
        for _ in range(4):
            make_image(dataset)
        queue_refresh(dataset=dataset)
        bob = user("bob")
        got = self.lease_at_once(dataset, [bob] * 4)
        self.assertEqual(len(set(got)), 1)
        self.assertEqual(QueueItem.objects.filter(annotator=bob).count(), 1)

"""Choosing an item while others ask for the next one: nobody gets what somebody has."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test import TransactionTestCase

from annotator.exceptions import Conflict
from annotator.models import QueueItem
from annotator.services.queue import queue_next, queue_refresh
from annotator.services.queue_taking import queue_take
from tests.annotator.factories import make_dataset, make_image, make_revision


class Race(TransactionTestCase):
    """Real threads with their own connections, on SQLite and on Postgres alike."""

    def setUp(self) -> None:
        self.dataset = make_dataset()
        for _ in range(4):
            make_image(self.dataset)
        queue_refresh(dataset=self.dataset)
        self.items = list(QueueItem.objects.order_by("-score", "id"))
        users = get_user_model().objects
        self.annotators = [users.create_user(f"annotator{number}") for number in range(6)]

    def at_once(self, *calls: Callable[[], QueueItem | None]) -> list[int | None]:
        """The items that the calls lease; None for a call that is refused."""
        barrier, got = threading.Barrier(len(calls)), []

        def ask(call: Callable[[], QueueItem | None]) -> None:
            try:
                barrier.wait()
                item = call()
                got.append(item.pk if item else None)
            except Conflict:
                got.append(None)
            finally:
                connection.close()

        threads = [threading.Thread(target=ask, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), len(calls), "a call failed")
        return got

    def take(self, pk: int, annotator: User) -> Callable[[], QueueItem | None]:
        item = QueueItem.objects.select_related("image__dataset").get(pk=pk)
        return lambda: queue_take(item=item, annotator=annotator)

    def test_of_many_who_want_one_item_one_gets_it(self) -> None:
        wanted = self.items[2].pk
        got = self.at_once(*[self.take(wanted, one) for one in self.annotators])
        self.assertEqual(Counter(got), Counter({wanted: 1, None: 5}))

    def test_choosing_asking_and_refreshing_at_once_lease_no_item_twice(self) -> None:
        def refresh() -> None:
            queue_refresh(dataset=self.dataset)

        best = self.items[0].pk
        choosing = [self.take(best, one) for one in self.annotators[:3]]
        asking = [
            lambda one=one: queue_next(dataset=self.dataset, annotator=one)
            for one in self.annotators[3:]
        ]
        got = [pk for pk in self.at_once(*choosing, *asking, refresh) if pk is not None]
        self.assertEqual(len(got), len(set(got)))
        self.assertGreaterEqual(len(got), 3)  # who asks for any always gets one
        holders = QueueItem.objects.exclude(annotator=None).values_list("annotator", flat=True)
        self.assertEqual(len(holders), len(set(holders)))
        self.assertEqual(QueueItem.objects.filter(closed_at=None).count(), 4)

    def test_two_tabs_of_one_person_that_choose_two_items_get_one(self) -> None:
        bob = self.annotators[0]
        got = self.at_once(*[self.take(item.pk, bob) for item in self.items])
        self.assertEqual(sum(pk is not None for pk in got), 1)
        self.assertEqual(QueueItem.objects.filter(annotator=bob).count(), 1)

    def test_what_somebody_submitted_meanwhile_has_left_the_queue(self) -> None:
        item = self.items[0]
        make_revision(item.image, self.annotators[0])
        # A refresh that had read the image before it was submitted opens it once more.
        QueueItem.objects.filter(pk=item.pk).update(closed_at=None, outcome="")
        with self.assertRaisesRegex(Conflict, "has left the queue"):
            queue_take(item=item, annotator=self.annotators[1])

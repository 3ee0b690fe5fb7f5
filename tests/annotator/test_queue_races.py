"""Annotators, refreshes and new predictions at the same time, on real threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test import TransactionTestCase

from annotator.models import Image, ModelVersion, QueueItem
from annotator.services.queue import queue_next, queue_refresh
from inference import embeddings
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)

IMAGES = 12


class QueueRaceTest(TransactionTestCase):
    def setUp(self) -> None:
        # A strategy under which each new prediction moves the scores of all others.
        self.dataset = make_dataset(strategy="uncertain-diverse")
        self.images = [
            make_image(self.dataset, f"mixed_a_{n}.tif", split="train") for n in range(IMAGES)
        ]
        self.looks = embeddings.pack(np.random.default_rng(0).normal(size=(2 * IMAGES, 16)))
        self.answered: list[int] = []
        self.over = threading.Event()
        self.barrier = threading.Barrier(5)

    def predict(self, version: ModelVersion, looks: list[bytes]) -> None:
        for image, look in zip(self.images, looks, strict=True):
            make_prediction(image, version, style=look, uncertainty=0.5)

    def answer(self, annotator: User) -> Image | None:
        item = queue_next(dataset=self.dataset, annotator=annotator, draw=lambda: 0.99)
        if item is None:
            return None
        make_revision(item.image, annotator)
        self.answered.append(item.image_id)
        return item.image

    def annotate(self, annotator: User) -> None:
        empty = 0
        while empty < 5:
            empty += self.answer(annotator) is None

    def refresh(self) -> None:
        while not self.over.is_set():
            queue_refresh(dataset=self.dataset)

    def predict_anew(self, version: ModelVersion) -> None:
        self.predict(version, self.looks[IMAGES:])
        self.refresh()

    def at_once(self, work: Callable[..., None], *asked: Any) -> None:
        try:
            self.barrier.wait()
            work(*asked)
        finally:
            connection.close()

    def test_no_image_is_lost_and_none_is_handed_out_twice(self) -> None:
        first = make_version(self.dataset)
        self.predict(first, self.looks[:IMAGES])
        ModelVersion.objects.filter(pk=first.pk).update(stage="retired")
        second = make_version(self.dataset)
        people = [get_user_model().objects.create_user(f"annotator{n}") for n in range(3)]
        with ThreadPoolExecutor(5) as pool:
            annotators = [pool.submit(self.at_once, self.annotate, person) for person in people]
            refreshers = [
                pool.submit(self.at_once, self.refresh),
                pool.submit(self.at_once, self.predict_anew, second),
            ]
            for future in annotators:
                future.exception()  # the others go on until they are told
            self.over.set()
        for future in (*annotators, *refreshers):
            future.result()
        # Who asked while all were in hands or not predicted yet came away with nothing.
        while self.answer(people[0]) is not None:
            pass
        self.assertEqual(sorted(self.answered), sorted(image.pk for image in self.images))
        self.assertFalse(QueueItem.objects.filter(closed_at=None).exists())

"""Predictions: stored once, tried again after a while, pruned when nobody needs them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import numpy as np
from django.db import OperationalError
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from annotator import storage
from annotator.exceptions import NotHere
from annotator.models import Draft, ModelVersion, Prediction, PredictionAttempt, QueueItem
from annotator.selectors.predictions import newest_predictions, pending_images
from annotator.selectors.versions import Pair
from annotator.services.predictions import (
    prediction_begin,
    prediction_failed,
    prediction_go_on,
    prediction_store,
)
from inference.predictor import CellPrediction, ImagePrediction
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import make_people


def result(**fields: Any) -> ImagePrediction:
    """What a pair says of an image with one HEK cell."""
    cell = CellPrediction(
        label=1,
        type="HEK",
        score=0.9,
        probabilities={"HEK": 0.7, "N2a": 0.3},
        uncertainty=0.4,
        terms={"existence": 0.1, "border": 0.2, "type": 0.4},
        seen_by="both",
        bbox=(0, 0, 8, 8),
        area=64,
        centroid=(3.5, 3.5),
        inner=(4, 4),
    )
    reason = {"code": "type", "text": "1 cell of uncertain type", "value": 1}
    defaults: dict[str, Any] = {
        "labels": square_labels(1),
        "cells": (cell,),
        "uncertainty": 0.4,
        "reasons": (reason,),
        "diameter": 8.0,
        "seconds": 0.2,
    }
    return ImagePrediction(**defaults | fields)


class StoreTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.image = make_image(self.dataset)
        self.version = make_version(self.dataset)

    def store(self, segmenter: ModelVersion | None = None, **fields: Any) -> Prediction:
        return prediction_store(
            image=self.image,
            segmenter=segmenter or self.version,
            detector=None,
            result=result(**fields),
        )

    def test_labels_and_typed_cells_are_kept(self) -> None:
        prediction = self.store()
        np.testing.assert_array_equal(storage.labels_get(prediction.labels_key), square_labels(1))
        cell = prediction.cells.get()
        self.assertEqual((str(cell.type), cell.seen_by, cell.area), ("HEK", "both", 64))
        self.assertEqual(cell.terms["border"], 0.2)

    def test_the_second_worker_gets_what_the_first_has_stored(self) -> None:
        first = self.store()
        self.assertEqual(self.store(uncertainty=0.9), first)
        self.assertEqual(Prediction.objects.get().uncertainty, 0.4)

    def test_older_predictions_go_unless_work_refers_to_them(self) -> None:
        first = self.store()
        make_revision(self.image, prediction=first)
        second = self.store(make_version(self.dataset, stage="retired"))
        third = self.store(make_version(self.dataset, stage="retired"))
        self.assertEqual(set(Prediction.objects.all()), {first, third})
        self.assertNotEqual(second, third)

    def test_the_prediction_in_an_annotators_hands_stays(self) -> None:
        first = self.store()
        bob = make_people(self.dataset).bob
        QueueItem.objects.create(image=self.image, prediction=first, score=1, annotator=bob)
        self.store(make_version(self.dataset, stage="retired"))
        self.assertIn(first, Prediction.objects.all())

    def test_the_prediction_a_draft_began_with_stays(self) -> None:
        first = self.store()
        Draft.objects.create(
            image=self.image,
            author=make_people(self.dataset).bob,
            base_number=0,
            prediction=first,
            labels_key="drafts/none",
            document={},
            saved_at=timezone.now(),
        )
        self.store(make_version(self.dataset, stage="retired"))
        self.assertEqual(Draft.objects.get().prediction, first)

    def test_the_newest_counts(self) -> None:
        self.store()
        second = self.store(make_version(self.dataset, stage="retired"))
        self.assertEqual(list(newest_predictions(self.dataset)), [second])


class GoneTest(TransactionTestCase):
    """Its own transactions: the database checks foreign keys at their end."""

    def test_an_image_deleted_meanwhile_is_said_to_be_gone(self) -> None:
        version = make_version(make_dataset())
        image = make_image(version.dataset)
        type(image).objects.filter(pk=image.pk).delete()
        with self.assertRaises(NotHere):
            prediction_store(image=image, segmenter=version, detector=None, result=result())


class AttemptTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.image = make_image(self.dataset, split="train")
        self.pair = Pair(make_version(self.dataset), None)

    def pending(self, **later: float) -> list[int]:
        now = timezone.now() + timedelta(**later)
        return [image.pk for image in pending_images(self.dataset, self.pair, now)]

    def test_two_workers_do_not_take_the_same_image(self) -> None:
        self.assertTrue(prediction_begin(image=self.image, pair=self.pair))
        self.assertFalse(prediction_begin(image=self.image, pair=self.pair))
        self.assertEqual(self.pending(), [])

    def test_an_image_whose_worker_died_comes_up_again_after_a_while(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        self.assertEqual(self.pending(minutes=16), [self.image.pk])
        PredictionAttempt.objects.update(retry_after=timezone.now())
        self.assertTrue(prediction_begin(image=self.image, pair=self.pair))
        self.assertIn("worker died", PredictionAttempt.objects.get().message)

    def test_a_large_image_stays_taken_as_long_as_its_worker_goes_on(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        PredictionAttempt.objects.update(retry_after=timezone.now() + timedelta(minutes=1))
        prediction_go_on(image=self.image)
        self.assertEqual(self.pending(minutes=14), [])
        self.assertEqual(self.pending(minutes=16), [self.image.pk])

    def test_an_image_that_was_predicted_since_it_was_seen_pending_is_left_alone(self) -> None:
        make_prediction(self.image, self.pair.segmenter)
        self.assertFalse(prediction_begin(image=self.image, pair=self.pair))
        self.assertFalse(PredictionAttempt.objects.exists())

    def test_who_comes_second_leaves_the_first_ones_prediction_and_no_attempt(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        first = make_prediction(self.image, self.pair.segmenter)
        stored = prediction_store(
            image=self.image, segmenter=self.pair.segmenter, detector=None, result=result()
        )
        self.assertEqual(stored, first)
        self.assertFalse(PredictionAttempt.objects.exists())

    def test_a_slow_image_is_not_taken_for_one_whose_worker_died(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        self.assertEqual(self.pending(minutes=14), [])
        prediction_begin(image=self.image, pair=self.pair, retry=True)
        self.assertEqual(PredictionAttempt.objects.get().message, "")

    def test_a_failure_gives_the_image_back_long_before_the_claim_ends(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        prediction_failed(image=self.image, message="the file is damaged")
        self.assertEqual(self.pending(minutes=2), [self.image.pk])

    def test_a_database_that_fails_for_a_moment_gives_the_image_back_too(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        locked = mock.patch(
            "annotator.services.predictions._store_cells", side_effect=OperationalError("locked")
        )
        with locked, self.assertRaises(OperationalError):
            prediction_store(
                image=self.image, segmenter=self.pair.segmenter, detector=None, result=result()
            )
        self.assertFalse(Prediction.objects.exists())
        self.assertEqual(self.pending(minutes=2), [self.image.pk])

    def test_each_failure_makes_the_wait_longer(self) -> None:
        waits = []
        for _ in range(3):
            prediction_begin(image=self.image, pair=self.pair)
            prediction_failed(image=self.image, message="the file is damaged")
            attempt = PredictionAttempt.objects.get()
            waits.append(attempt.retry_after - timezone.now())
            attempt.retry_after = timezone.now()
            attempt.save()
        self.assertEqual(waits, sorted(waits))
        self.assertGreater(waits[2], 4 * waits[0])
        self.assertEqual(attempt.message, "the file is damaged")

    def test_a_new_pair_tries_at_once(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        prediction_failed(image=self.image, message="the file is damaged")
        newer = Pair(make_version(self.dataset, stage="candidate"), None)
        self.assertTrue(prediction_begin(image=self.image, pair=newer))
        self.assertEqual(PredictionAttempt.objects.get().message, "")

    def test_a_prediction_ends_the_attempts(self) -> None:
        prediction_begin(image=self.image, pair=self.pair)
        prediction_store(
            image=self.image, segmenter=self.pair.segmenter, detector=None, result=result()
        )
        self.assertFalse(PredictionAttempt.objects.exists())

    def test_what_annotators_wait_for_comes_first(self) -> None:
        test = make_image(self.dataset, split="test")
        revised = make_image(self.dataset, split="train")
        make_revision(revised)
        done = make_image(self.dataset, split="train")
        make_prediction(done, self.pair.segmenter)
        self.assertEqual(self.pending(), [self.image.pk, test.pk, revised.pk])

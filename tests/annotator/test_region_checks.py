"""Gold images and repeats where regions are asked: they look like any other region."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import TestCase
from django.utils import timezone

from annotator.models import Check, Draft, Image, Kind, Outcome, Prediction, QueueItem, Revision
from annotator.services.drafts import DraftContent, draft_save
from annotator.services.queue import queue_refresh
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people

SIDE = 400


class RegionCheckTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(asking="region", region_minutes=1)
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        make_version(self.dataset)
        self.labels = square_labels(625, (SIDE, SIDE), 14)
        self.image = self.predicted("mixed_a_1.tif").image

    def predicted(self, name: str) -> Prediction:
        pixels = np.random.default_rng(len(name)).integers(0, 99, (2, SIDE, SIDE), np.uint16)
        found = make_image(self.dataset, name, pixels + self.dataset.images.count(), split="train")
        image = Image.objects.get(pk=found.pk)
        prediction = make_prediction(image, labels=self.labels, diameter=14.0)
        make_cells(prediction, uncertainty=0.2)
        return prediction

    def every(self, **settings: int) -> None:
        for name, value in settings.items():
            setattr(self.dataset, name, value)
        self.dataset.save()

    def next(self) -> dict[str, Any]:
        answer = self.bob.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/")
        self.assertEqual(answer.status_code, 200, answer.content)
        found: dict[str, Any] = answer.json()
        return found

    def submit(self, item: dict[str, Any], labels: Any, regions: Any) -> Any:
        document = {
            "shape": [SIDE, SIDE],
            "dtype": "uint16",
            "cells": [],
            "complete_regions": regions,
        }
        part = io.BytesIO(gzip.compress(np.ascontiguousarray(labels, "<u2").tobytes()))
        part.name = "labels.bin.gz"
        return self.bob.post(
            f"/api/v1/queue/{item['id']}/submit/",
            {"labels": part, "document": json.dumps(document)},
            HTTP_IF_MATCH=item["etag"],
        )

    def gold(self) -> dict[str, Any]:
        make_revision(self.image, self.people.alice, self.labels)
        Image.objects.filter(pk=self.image.pk).update(gold=True)
        self.every(gold_every=1)
        item = self.next()
        self.assertEqual(QueueItem.objects.get(pk=item["id"]).kind, Kind.GOLD)
        return item

    def test_a_gold_region_looks_like_an_ordinary_one(self) -> None:
        self.predicted("mixed_a_2.tif")
        ordinary = self.next()
        self.bob.post(f"/api/v1/queue/{ordinary['id']}/release/")
        item = self.gold()
        self.assertEqual(item["region"], ordinary["region"])
        for key in ("score", "minutes", "reasons"):
            self.assertEqual(item[key], ordinary[key], key)
        self.assertEqual(set(item), set(ordinary))

    def test_only_the_region_is_compared(self) -> None:
        item = self.gold()
        _, y0, _, y1 = item["region"]
        answer = self.submit(item, self.labels, None)
        self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))
        outside = self.labels.copy()
        outside[: max(0, y0 - 16)] = 0
        outside[y1 + 16 :] = 0
        self.assertEqual(self.submit(item, outside, [item["region"]]).status_code, 201)
        figures = Check.objects.get().figures
        self.assertEqual((figures["ap50"], figures["count_error"]), (1.0, 0.0))
        self.assertLess(figures["cells"], 300)
        self.assertEqual(Revision.objects.count(), 1)

    def test_a_cell_at_the_rim_that_is_drawn_a_little_otherwise_is_the_same_cell(self) -> None:
        item = self.gold()
        moved = np.roll(self.labels, 1, axis=(0, 1))
        self.assertEqual(self.submit(item, moved, [item["region"]]).status_code, 201)
        self.assertEqual(Check.objects.get().figures["ap50"], 1.0)

    def test_what_is_missed_in_the_region_counts(self) -> None:
        item = self.gold()
        self.assertEqual(
            self.submit(item, np.zeros_like(self.labels), [item["region"]]).status_code, 201
        )
        self.assertEqual(Check.objects.get().figures["ap50"], 0.0)

    def test_the_draft_of_a_check_goes_with_it(self) -> None:
        item = self.gold()
        content = DraftContent(self.labels, {}, 0, timezone.now())
        draft_save(image=self.image, author=self.people.bob, content=content)
        self.assertEqual(self.submit(item, self.labels, [item["region"]]).status_code, 201)
        self.assertFalse(Draft.objects.exists())

    def test_an_own_region_comes_again_after_a_rest(self) -> None:
        first = self.next()
        self.assertEqual(self.submit(first, self.labels, [first["region"]]).status_code, 201)
        self.every(repeat_every=1)
        queue_refresh(dataset=self.dataset)
        QueueItem.objects.filter(outcome="").delete()
        answer = self.bob.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/")
        kinds = set(QueueItem.objects.values_list("kind", flat=True))
        self.assertEqual((answer.status_code, kinds), (200, {Kind.ASK}))
        self.bob.post(f"/api/v1/queue/{answer.json()['id']}/release/")
        rested = timezone.now() - timedelta(days=2)
        QueueItem.objects.filter(outcome=Outcome.SUBMITTED).update(closed_at=rested)
        again = self.next()
        self.assertEqual(QueueItem.objects.get(pk=again["id"]).kind, Kind.REPEAT)
        self.assertEqual((again["region"], again["etag"]), (first["region"], '"0"'))
        self.assertEqual(self.submit(again, self.labels, [again["region"]]).status_code, 201)
        check = Check.objects.get()
        self.assertEqual((check.reference.number, check.figures["ap50"]), (1, 1.0))

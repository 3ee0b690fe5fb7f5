"""Gold images and repeats: nobody is told, nothing is changed, and managers see how people do."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import TestCase
from django.utils import timezone

from annotator.models import Check, Image, Kind, Outcome, QueueItem, Revision
from annotator.services.checks import agreement
from annotator.services.queue import queue_next, queue_refresh
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people

TYPES: dict[int, str | None] = {1: "HEK", 2: "N2a", 3: "N2a"}


class CheckTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(gold_every=1)
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        self.alice = client_of(self.people.alice)
        make_version(self.dataset)
        self.image = make_image(self.dataset, "mixed_a_1.tif", split="train")
        make_revision(self.image, self.people.alice, types=TYPES)
        make_prediction(self.image, labels=square_labels(2))
        self.assertEqual(self.gold(True).status_code, 200)

    def gold(self, wanted: bool, image: Image | None = None, client: Any = None) -> Any:
        return (client or self.alice).put(
            f"/api/v1/images/{(image or self.image).pk}/gold/",
            {"gold": wanted},
            content_type="application/json",
        )

    def next(self) -> dict[str, Any]:
        answer = self.bob.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/")
        self.assertEqual(answer.status_code, 200, answer.content)
        found: dict[str, Any] = answer.json()
        return found

    def submit(self, item: dict[str, Any], labels: Any, types: dict[int, str]) -> Any:
        document = {
            "shape": list(labels.shape),
            "dtype": "uint16",
            "cells": [{"label": label, "type": name} for label, name in types.items()],
            "complete_regions": None,
            "seconds_spent": 30,
        }
        part = io.BytesIO(gzip.compress(np.ascontiguousarray(labels, "<u2").tobytes()))
        part.name = "labels.bin.gz"
        return self.bob.post(
            f"/api/v1/queue/{item['id']}/submit/",
            {"labels": part, "document": json.dumps(document)},
            HTTP_IF_MATCH=item["etag"],
        )

    def test_a_gold_image_looks_like_any_other_and_its_truth_is_hidden(self) -> None:
        item = self.next()
        self.assertEqual(QueueItem.objects.get(pk=item["id"]).kind, Kind.GOLD)
        self.assertNotIn("gold", json.dumps(item))
        self.assertEqual((item["image"]["revision"], item["etag"]), (0, '"0"'))
        self.assertEqual(item["image"]["cells"], 2)
        path = f"/api/v1/images/{self.image.pk}/"
        self.assertEqual(self.bob.get(path).json()["revision"], 0)
        listed = f"/api/v1/datasets/{self.dataset.pk}/images/"
        self.assertEqual(self.bob.get(listed).json()["results"][0]["revision"], 0)
        self.assertEqual(self.alice.get(listed).json()["results"][0]["revision"], 1)
        self.assertEqual(self.bob.get(f"{path}annotation/").json()["revision"], 0)
        self.assertEqual(self.bob.get(f"{path}annotation/history/").json(), [])
        self.assertEqual(self.bob.get(f"{path}annotation/labels/").status_code, 404)
        # Others see what is there.
        self.assertEqual(self.alice.get(f"{path}annotation/").json()["revision"], 1)
        self.assertEqual(self.next()["id"], item["id"])

    def test_what_is_handed_in_is_measured_and_changes_nothing(self) -> None:
        item = self.next()
        answer = self.submit(item, square_labels(2), {1: "HEK", 2: "HEK"})
        self.assertEqual(answer.status_code, 201, answer.content)
        self.assertEqual(answer.json()["annotation"]["revision"], 1)
        self.assertEqual(Revision.objects.get().author, self.people.alice)
        check = Check.objects.get()
        self.assertEqual(check.seconds_spent, 30)
        self.assertAlmostEqual(check.figures["ap50"], 2 / 3)
        self.assertEqual(check.figures["type_agreement"], 0.5)
        # The answer was lost, and the request comes again.
        again = self.submit(item, square_labels(2), {1: "HEK", 2: "HEK"})
        self.assertEqual(again.status_code, 201)
        self.assertEqual(Check.objects.count(), 1)
        row = QueueItem.objects.get(pk=item["id"])
        self.assertEqual(row.outcome, Outcome.SUBMITTED)
        # Once is enough, and the truth's author is not asked.
        for person in (self.people.bob, self.people.alice):
            self.assertIsNone(queue_next(dataset=self.dataset, annotator=person))

    def test_managers_see_how_people_do_and_annotators_do_not_see_what_is_gold(self) -> None:
        self.submit(self.next(), square_labels(3), {1: "HEK", 2: "N2a", 3: "N2a"})
        path = f"/api/v1/datasets/{self.dataset.pk}/"
        [row] = self.alice.get(f"{path}agreement/").json()
        self.assertEqual(row["annotator"], "bob")
        self.assertEqual((row["gold"]["images"], row["gold"]["ap50"]), (1, 1.0))
        self.assertEqual((row["repeat"]["images"], row["repeat"]["ap50"]), (0, None))
        self.assertEqual(self.alice.get(f"{path}gold/").json()[0]["name"], "mixed_a_1.tif")
        for name in ("agreement", "gold"):
            self.assertEqual(self.bob.get(f"{path}{name}/").status_code, 403)
        self.assertEqual(self.gold(True, client=self.bob).status_code, 403)
        charlie = client_of(self.people.charlie)
        self.assertEqual(self.gold(True, client=charlie).status_code, 404)

    def test_an_image_that_is_not_annotated_as_a_whole_cannot_be_gold(self) -> None:
        bare = make_image(self.dataset, "mixed_a_2.tif")
        self.assertEqual(self.gold(True, bare).status_code, 409)
        make_revision(bare, self.people.alice, complete_regions=[[0, 0, 10, 10]])
        answer = self.gold(True, bare)
        self.assertEqual(answer.status_code, 409)
        self.assertIn("annotate it as a whole", answer.json()["message"])

    def test_own_work_comes_again_after_a_rest(self) -> None:
        self.gold(False)
        self.dataset.gold_every, self.dataset.repeat_every = 0, 1
        self.dataset.save()
        own = make_image(self.dataset, "mixed_a_3.tif", split="train")
        make_revision(own, self.people.bob, types=TYPES)
        make_prediction(own)
        self.assertIsNone(queue_next(dataset=self.dataset, annotator=self.people.bob))
        Revision.objects.update(created_at=timezone.now() - timedelta(days=2))
        item = self.next()
        self.assertEqual(QueueItem.objects.get(pk=item["id"]).kind, Kind.REPEAT)
        self.submit(item, square_labels(3), {1: "HEK", 2: "N2a", 3: "N2a"})
        self.assertEqual(Check.objects.get().figures["type_agreement"], 1.0)

    def test_one_that_is_given_back_or_left_is_asked_of_nobody_else(self) -> None:
        item = self.next()
        self.assertEqual(self.bob.post(f"/api/v1/queue/{item['id']}/release/").status_code, 200)
        self.assertEqual(QueueItem.objects.get().outcome, Outcome.STALE)
        QueueItem.objects.all().delete()
        self.next()
        QueueItem.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        queue_refresh(dataset=self.dataset)
        self.assertEqual(QueueItem.objects.get().outcome, Outcome.STALE)


class AgreementTest(TestCase):
    def test_figures_by_hand(self) -> None:
        known, answer = square_labels(4), square_labels(5)
        answer[answer == 1] = 0
        found = agreement(answer, {2: "A", 3: "B", 5: "A"}, known, {1: "A", 2: "A", 3: "A"})
        self.assertEqual(found["cells"], 4)
        self.assertAlmostEqual(found["ap50"] or 0, 3 / 5)
        self.assertEqual(found["type_agreement"], 0.5)
        self.assertIsNone(agreement(answer, {}, known, {})["type_agreement"])

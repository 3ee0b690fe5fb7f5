"""The queue over REST, as the correction page uses it."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import TestCase
from django.utils import timezone

from annotator.models import Draft, QueueItem, Revision
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


class QueueApiTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.bob = client_of(self.people.bob)
        self.image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        make_prediction(self.image, make_version(self.dataset), uncertainty=0.8)

    def next(self, client: Any = None) -> Any:
        client = client or self.bob
        return client.post(f"/api/v1/datasets/{self.dataset.pk}/queue/next/")

    def submit(
        self, item: dict[str, Any], client: Any = None, more: Any = None, **headers: Any
    ) -> Any:
        labels = square_labels(2)
        document = {
            "shape": list(labels.shape),
            "dtype": "uint16",
            "cells": [{"label": 1, "type": "HEK"}, {"label": 2, "type": "N2a"}],
            "complete_regions": None,
            **(more or {}),
        }
        part = io.BytesIO(gzip.compress(np.ascontiguousarray(labels, "<u2").tobytes()))
        part.name = "labels.bin.gz"
        headers.setdefault("HTTP_IF_MATCH", item["etag"])
        return (client or self.bob).post(
            f"/api/v1/queue/{item['id']}/submit/",
            {"labels": part, "document": json.dumps(document)},
            **headers,
        )

    def test_what_somebody_holds_can_be_asked_for_without_leasing_anything(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/queue/?mine=true"
        self.assertEqual(self.bob.get(url).json()["results"], [])
        held = self.next().json()["id"]
        (item,) = self.bob.get(url).json()["results"]
        self.assertEqual(item["id"], held)
        self.assertEqual(client_of(self.people.alice).get(url).json()["results"], [])
        QueueItem.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.assertEqual(self.bob.get(url).json()["results"], [])

    def test_an_item_says_whether_its_holder_has_a_draft(self) -> None:
        kept = {"image": self.image, "base_number": 0, "labels_key": "drafts/none", "document": {}}
        Draft.objects.create(author=self.people.alice, saved_at=timezone.now(), **kept)
        self.assertIs(self.next().json()["draft"], False)
        Draft.objects.create(author=self.people.bob, saved_at=timezone.now(), **kept)
        self.assertIs(self.next().json()["draft"], True)

    def test_next_leases_an_image_and_says_why(self) -> None:
        answer = self.next()
        self.assertEqual(answer.status_code, 200)
        item = answer.json()
        self.assertEqual(item["image"]["name"], "HEK_a_1.tif")
        self.assertEqual(item["image"]["status"], "leased")
        self.assertEqual((item["annotator"], item["etag"]), ("bob", '"0"'))
        self.assertAlmostEqual(item["seconds_left"], 1800, delta=5)
        self.assertEqual(item["score"], 0.8)

    def test_an_empty_queue_is_no_content(self) -> None:
        self.next()
        self.assertEqual(self.next(client_of(self.people.alice)).status_code, 204)

    def test_a_viewer_may_look_but_not_lease(self) -> None:
        viewer = client_of(self.people.vera)
        self.assertEqual(self.next(viewer).status_code, 403)
        self.assertEqual(viewer.get(f"/api/v1/datasets/{self.dataset.pk}/queue/").status_code, 200)

    def test_a_stranger_sees_nothing(self) -> None:
        item = self.next().json()
        charlie = client_of(self.people.charlie)
        self.assertEqual(self.next(charlie).status_code, 404)
        for action in ("heartbeat", "release", "skip", "submit"):
            answer = charlie.post(f"/api/v1/queue/{item['id']}/{action}/")
            self.assertEqual(answer.status_code, 404, action)

    def test_the_list_shows_open_items_best_first(self) -> None:
        version = self.dataset.versions.get()
        for uncertainty in (0.1, 0.9):
            make_prediction(
                make_image(self.dataset, split="train"), version, uncertainty=uncertainty
            )
        self.next()
        answer = self.bob.get(f"/api/v1/datasets/{self.dataset.pk}/queue/").json()
        self.assertEqual([row["score"] for row in answer["results"]], [0.9, 0.8, 0.1])
        self.assertEqual([row["annotator"] for row in answer["results"]], ["bob", None, None])

    def test_the_list_costs_the_same_queries_for_any_length(self) -> None:
        version = self.dataset.versions.get()
        for _ in range(5):
            make_prediction(make_image(self.dataset), version)
        self.next()
        with self.assertNumQueries(5):  # membership, data set, items, images, drafts
            self.bob.get(f"/api/v1/datasets/{self.dataset.pk}/queue/")

    def test_submit_writes_the_revision_and_closes_the_item(self) -> None:
        item = self.next().json()
        answer = self.submit(item)
        self.assertEqual(answer.status_code, 201, answer.content)
        body = answer.json()
        self.assertEqual(body["annotation"]["revision"], 1)
        self.assertEqual([cell["type"] for cell in body["annotation"]["cells"]], ["HEK", "N2a"])
        self.assertEqual(body["item"]["image"]["status"], "annotated")
        row = QueueItem.objects.get()
        self.assertEqual((row.outcome, row.annotator), ("submitted", self.people.bob))
        self.assertEqual(Revision.objects.get().author, self.people.bob)

    def test_what_comes_from_the_queue_is_nothing_in_passing(self) -> None:
        item = self.next().json()
        answer = self.submit(item, more={"complete_regions": [[0, 0, 9, 9]], "in_passing": True})
        self.assertEqual(answer.status_code, 201)
        self.assertNotEqual(self.image.revisions.get().source, "gallery")
        self.assertEqual(QueueItem.objects.get(pk=item["id"]).outcome, "submitted")

    def test_whoever_submits_may_leave_out_the_cells_of_the_answer(self) -> None:
        answer = self.submit(self.next().json(), HTTP_PREFER="return=minimal")
        self.assertEqual((answer.status_code, answer["ETag"]), (201, '"1"'), answer.content)
        self.assertEqual(set(answer.json()), {"annotation", "item"})
        self.assertEqual(answer.json()["annotation"]["revision"], 1)
        self.assertNotIn("cells", answer.json()["annotation"])

    def test_a_submission_whose_answer_was_lost_may_be_sent_again(self) -> None:
        item = self.next().json()
        first, again = self.submit(item), self.submit(item)
        self.assertEqual(again.status_code, 201, again.content)
        self.assertEqual(again.json()["annotation"], first.json()["annotation"])
        self.assertEqual(Revision.objects.count(), 1)
        other = self.submit(item, client_of(self.people.alice))
        self.assertEqual(other.status_code, 409)

    def test_submit_without_the_lease_is_refused(self) -> None:
        item = self.next().json()
        QueueItem.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.next(client_of(self.people.alice))
        answer = self.submit(item)
        self.assertEqual((answer.status_code, answer.json()["code"]), (409, "conflict"))
        self.assertIn("in the hands of alice", answer.json()["message"])
        self.assertFalse(Revision.objects.exists())

    def test_submit_needs_if_match_and_refuses_a_stale_one(self) -> None:
        item = self.next().json()
        missing = self.submit(item, HTTP_IF_MATCH="")
        self.assertEqual(
            (missing.status_code, missing.json()["code"]), (428, "precondition_required")
        )
        make_revision(self.image, author=self.people.alice)
        QueueItem.objects.update(closed_at=None)
        stale = self.submit(item)
        self.assertEqual((stale.status_code, stale.json()["code"]), (412, "stale_revision"))

    def test_skip_needs_a_reason(self) -> None:
        item = self.next().json()
        refused = self.bob.post(f"/api/v1/queue/{item['id']}/skip/", {}, format="json")
        self.assertEqual(refused.status_code, 400)
        self.assertIn("reason", refused.json()["fields"])
        skipped = self.bob.post(
            f"/api/v1/queue/{item['id']}/skip/", {"reason": "out of focus"}, format="json"
        )
        self.assertEqual(skipped.status_code, 200)
        self.assertEqual(self.next().status_code, 204)

    def test_a_release_or_skip_whose_answer_was_lost_may_be_repeated(self) -> None:
        item = self.next().json()
        url = f"/api/v1/queue/{item['id']}/"
        first, again = (self.bob.post(url + "release/") for _ in range(2))
        self.assertEqual((again.status_code, again.json()), (200, first.json()))
        self.next()
        why = {"reason": "out of focus"}
        first, again = (self.bob.post(url + "skip/", why, format="json") for _ in range(2))
        self.assertEqual((again.status_code, again.json()), (200, first.json()))
        for client, reason in ((self.bob, "dark"), (client_of(self.people.alice), "out of focus")):
            other = client.post(url + "skip/", {"reason": reason}, format="json")
            self.assertEqual(other.status_code, 409)
        self.assertEqual(self.bob.post(url + "release/").status_code, 409)

    def test_heartbeat_lengthens_and_release_gives_back(self) -> None:
        item = self.next().json()
        QueueItem.objects.update(leased_until=timezone.now() + timedelta(seconds=10))
        beat = self.bob.post(f"/api/v1/queue/{item['id']}/heartbeat/").json()
        self.assertGreater(beat["seconds_left"], 1700)
        released = self.bob.post(f"/api/v1/queue/{item['id']}/release/").json()
        self.assertIsNone(released["annotator"])
        alice = client_of(self.people.alice)
        self.assertEqual(self.next(alice).json()["id"], item["id"])

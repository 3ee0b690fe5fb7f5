"""Drafts over REST: everyone has their own, the newest wins, submitting ends it."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from unittest import mock

import numpy as np
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, IntegrityError
from django.test import TestCase
from django.utils import timezone

from annotator.models import Draft
from tests.annotator.factories import (
    is_stored,
    make_dataset,
    make_image,
    make_prediction,
    square_labels,
)
from tests.people import client_of, make_people

EARLY, LATE = "2026-11-01T10:00:00Z", "2026-11-01T10:00:05Z"


class Drafts(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif")
        self.url = f"/api/v1/images/{self.image.pk}/draft/"
        self.bob = client_of(self.people.bob)

    def save(self, count: int = 2, at: str = EARLY, client: Any = None, **changes: Any) -> Any:
        document = {
            "base": 0,
            "saved_at": at,
            "dtype": "uint16",
            "work": {"cells": [{"label": 1, "type": "HEK", "source": "human"}]},
        } | changes
        labels = gzip.compress(square_labels(count).tobytes())
        parts = {
            "labels": SimpleUploadedFile("labels", labels),
            "document": json.dumps(document),
        }
        return (client or self.bob).put(self.url, parts, format="multipart")

    def stored(self, client: Any = None) -> int:
        answer = (client or self.bob).get(self.url + "labels/")
        labels = np.frombuffer(gzip.decompress(answer.content), answer["X-Dtype"])
        return int(labels.max())

    def test_a_draft_comes_back_as_it_was_saved(self) -> None:
        prediction = make_prediction(self.image)
        self.assertEqual(self.save(prediction=prediction.pk).status_code, 200)
        found = self.bob.get(self.url).json()
        self.assertEqual((found["base"], found["prediction"]), (0, prediction.pk))
        self.assertEqual(found["work"]["cells"][0]["type"], "HEK")
        self.assertEqual(self.stored(), 2)

    def test_the_newest_wins_and_the_one_before_leaves_no_bytes(self) -> None:
        self.save(2, LATE)
        before = Draft.objects.get().labels_key
        self.assertEqual(self.save(4, EARLY).status_code, 409)
        self.assertEqual(self.stored(), 2)
        self.save(3, "2026-11-01T10:00:09Z")
        self.assertEqual(self.stored(), 3)
        self.assertFalse(is_stored(before))

    def test_a_clock_that_runs_ahead_does_not_keep_later_work_out(self) -> None:
        self.assertEqual(self.save(2, "9999-12-31T23:59:59Z").status_code, 200)
        later = (timezone.now() + timedelta(seconds=2)).isoformat()
        self.assertEqual(self.save(3, later).status_code, 200)
        self.assertEqual(self.stored(), 3)

    def test_a_draft_that_goes_back_to_what_it_was_stays_readable(self) -> None:
        for second, count in enumerate((2, 3, 2, 3, 2)):
            self.save(count, f"2026-11-01T10:00:0{second}Z")
            self.assertEqual(self.stored(), count)

    def test_a_document_the_database_refuses_leaves_no_bytes(self) -> None:
        before = {path.name for path in (Path(settings.VAR_DIR) / "objects").rglob("*.npy.gz")}
        with mock.patch.object(Draft, "save", side_effect=DataError("no")):
            self.assertEqual(self.save(5).status_code, 400)
        after = {path.name for path in (Path(settings.VAR_DIR) / "objects").rglob("*.npy.gz")}
        self.assertEqual(before, after)

    def test_one_that_the_writer_has_not_seen_is_not_replaced(self) -> None:
        self.save(2, EARLY, work={"writer": "there"})
        for seen in (None, LATE):
            refused = self.save(3, LATE, replaces=seen, work={"writer": "here"})
            self.assertEqual(refused.status_code, 409)
            self.assertIn("elsewhere", refused.json()["message"])
        self.assertEqual(self.stored(), 2)
        seen = self.bob.get(self.url).json()["saved_at"]
        taken = self.save(3, LATE, replaces=seen, work={"writer": "here"})
        self.assertEqual(taken.status_code, 200)
        self.assertEqual(self.stored(), 3)

    def test_a_window_goes_on_after_an_answer_that_was_lost(self) -> None:
        for count, at in ((2, EARLY), (2, EARLY), (3, LATE)):
            answer = self.save(count, at, replaces=None, work={"writer": "here"})
            self.assertEqual(answer.status_code, 200)
            self.assertEqual(self.stored(), count)
        late = self.save(4, EARLY, replaces=None, work={"writer": "here"})
        self.assertEqual(late.status_code, 409)

    def test_two_first_drafts_at_one_moment_do_not_replace_each_other(self) -> None:
        with mock.patch.object(Draft, "save", side_effect=IntegrityError("draft_once")):
            self.assertEqual(self.save(5).status_code, 409)

    def test_drafts_lie_in_one_folder_and_a_replaced_one_is_gone(self) -> None:
        # In folders of their own, each autosave would leave an empty one behind.
        keys = []
        for count, at in ((2, EARLY), (3, LATE)):
            self.save(count, at)
            keys.append(Draft.objects.get().labels_key)
        self.assertEqual({str(PurePosixPath(key).parent) for key in keys}, {"drafts"})
        self.assertEqual([is_stored(key) for key in keys], [False, True])
        self.bob.delete(self.url)
        self.assertFalse(is_stored(keys[1]))

    def test_numbers_that_no_database_keeps_are_refused(self) -> None:
        for hostile in (
            {"base": 10**30},
            {"base": 2**31},
            {"prediction": 10**30},
            {"work": {"edits": float("nan")}},
            {"work": {"cells": [float("-inf")]}},
            {"work": {"note": "half of an emoji \ud83e"}},
            {"work": {"\udd2a": 1}},
        ):
            answer = self.save(**hostile)
            self.assertEqual(answer.status_code, 400, hostile)
            self.assertTrue(answer.json()["fields"], hostile)
        self.assertFalse(Draft.objects.exists())

    def test_the_same_draft_twice_is_one(self) -> None:
        self.save(2, EARLY)
        self.save(2, LATE)
        self.save(2, LATE)
        self.assertEqual(Draft.objects.count(), 1)
        self.assertEqual(self.stored(), 2)

    def test_each_annotator_sees_only_their_own(self) -> None:
        alice = client_of(self.people.alice)
        self.save(2)
        self.save(3, client=alice)
        self.assertEqual((self.stored(), self.stored(alice)), (2, 3))
        rows = self.bob.get(f"/api/v1/datasets/{self.dataset.pk}/drafts/").json()["drafts"]
        self.assertEqual([row["name"] for row in rows], ["mixed_b1_1.tif"])

    def test_viewers_and_strangers_may_not_save(self) -> None:
        self.assertEqual(self.save(client=client_of(self.people.vera)).status_code, 403)
        self.assertEqual(self.save(client=client_of(self.people.charlie)).status_code, 404)
        self.assertEqual(self.bob.get(self.url).status_code, 404)

    def test_submitting_ends_the_draft(self) -> None:
        self.save()
        key = Draft.objects.get().labels_key
        document = {"shape": [48, 64], "dtype": "uint16", "cells": []}
        parts = {
            "labels": SimpleUploadedFile("labels", square_labels(2).tobytes()),
            "document": json.dumps(document),
        }
        url = f"/api/v1/images/{self.image.pk}/annotation/"
        answer = self.bob.put(url, parts, format="multipart", headers={"If-Match": '"0"'})
        self.assertEqual(answer.status_code, 201, answer.content)
        self.assertFalse(Draft.objects.exists())
        self.assertFalse(is_stored(key))

    def test_a_draft_can_be_thrown_away(self) -> None:
        self.save()
        for _ in range(2):
            self.assertEqual(self.bob.delete(self.url).status_code, 204)
        self.assertEqual(self.bob.get(self.url).status_code, 404)

    def test_labels_of_another_size_and_a_broken_document_are_refused(self) -> None:
        self.assertEqual(self.save(saved_at="yesterday").status_code, 400)
        parts = {
            "labels": SimpleUploadedFile("labels", b"\0" * 10),
            "document": json.dumps({"base": 0, "saved_at": EARLY, "dtype": "uint16", "work": {}}),
        }
        answer = self.bob.put(self.url, parts, format="multipart")
        self.assertEqual(answer.status_code, 400)
        self.assertIn("64×48", answer.json()["message"])
        self.assertFalse(Draft.objects.exists())


class Preferences(TestCase):
    def test_each_person_keeps_their_own_per_data_set(self) -> None:
        dataset = make_dataset()
        people = make_people(dataset)
        url = f"/api/v1/datasets/{dataset.pk}/preferences/"
        bob, vera = client_of(people.bob), client_of(people.vera)
        self.assertEqual(bob.get(url).json(), {})
        bob.patch(url, {"palette": "colour-blind"}, format="json")
        bob.patch(url, {"brush": 20}, format="json")
        self.assertEqual(bob.get(url).json(), {"palette": "colour-blind", "brush": 20})
        self.assertEqual(vera.get(url).json(), {})
        self.assertEqual(bob.patch(url, [1], format="json").status_code, 400)
        self.assertEqual(client_of(people.charlie).get(url).status_code, 404)
        self.assertEqual(bob.patch(url, {"long": "x" * 70_000}, format="json").status_code, 413)
        self.assertNotIn("long", bob.get(url).json())

    def test_what_could_not_be_sent_back_is_refused_and_spoils_nothing(self) -> None:
        dataset = make_dataset()
        url = f"/api/v1/datasets/{dataset.pk}/preferences/"
        bob = client_of(make_people(dataset).bob)
        for body in (
            r'{"a": "\ud800"}',
            r'{"\udc00": 1}',
            r'{"a": "\u0000"}',
            '{"a": 1e999}',
            '{"a": NaN}',
            f'{{"a": {"9" * 400}}}',
            "[" * 100_000,
        ):
            with self.subTest(body[:20]):
                answer = bob.patch(url, body, content_type="application/json")
                self.assertEqual((answer.status_code, answer.json()["code"]), (400, "bad_input"))
        pair = bob.patch(url, r'{"a": "\ud83e\udd2a"}', content_type="application/json")
        self.assertEqual((pair.status_code, bob.get(url).json()), (200, {"a": "\U0001f92a"}))

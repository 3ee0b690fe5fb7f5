"""Data sets and members over REST."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import TestCase
from django.utils import timezone
from rest_framework.test import APIClient

from annotator.models import Dataset, Image, Prediction, QueueItem
from annotator.services.datasets import dataset_update
from inference.strategies_novelty import EVERY
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)
from tests.people import client_of, make_people


class Datasets(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset("cells")
        self.people = make_people(self.dataset)
        self.alice: APIClient = client_of(self.people.alice)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/"

    def test_whoever_makes_one_manages_it(self) -> None:
        sent = {"name": "mine", "channels": ["-", "cytoplasm", "nucleus"], "types": ["HEK", "N2a"]}
        answer = client_of(self.people.charlie).post("/api/v1/datasets/", sent, format="json")
        body = answer.json()
        self.assertEqual(answer.status_code, 201)
        self.assertEqual((body["role"], body["channels"]), ("manager", sent["channels"]))
        self.assertEqual([row["name"] for row in body["types"]], ["HEK", "N2a"])
        self.assertEqual(body["type_pattern"], "{type}_{batch}_{field}")
        self.assertEqual(body["counts"]["images"], 0)
        self.assertEqual(body["versions"], {"segmenter": None, "detector": None})

    def test_it_rejects_names_channels_types_and_patterns_it_cannot_use(self) -> None:
        good: dict[str, Any] = {"name": "new", "channels": ["nucleus"], "types": ["HEK"]}
        for change, status in (
            ({"name": "a b"}, 400),
            ({"name": "cells"}, 409),
            ({"channels": []}, 400),
            ({"channels": ["-"]}, 400),
            ({"channels": ["nucleus", "nucleus"]}, 400),
            ({"channels": ["red"]}, 400),
            ({"channels": ["-", "-", "-", "-", "nucleus"]}, 400),
            ({"types": ["HEK", "hek"]}, 400),
            ({"types": ["mixed"]}, 400),
            ({"types": ["a,b"]}, 400),
            ({"type_pattern": "{type}{batch}"}, 400),
        ):
            with self.subTest(change):
                answer = self.alice.post("/api/v1/datasets/", good | change, format="json")
                self.assertEqual(answer.status_code, status, answer.content)
        self.assertEqual(Dataset.objects.count(), 1)

    def test_counts_tell_how_far_it_has_come(self) -> None:
        images = [make_image(self.dataset, split="train") for _ in range(4)]
        make_image(self.dataset, split="test")
        old, new = make_version(self.dataset, stage="retired"), make_version(self.dataset)
        long_ago = timezone.now() - timedelta(hours=1)
        for image, version in ((images[0], new), (images[1], old)):
            prediction = make_prediction(image, version)
            Prediction.objects.filter(pk=prediction.pk).update(created_at=long_ago)
        make_revision(images[2])
        QueueItem.objects.create(image=images[0], score=1)
        soon = timezone.now() + timedelta(minutes=5)
        QueueItem.objects.create(image=images[1], score=1, leased_until=soon)
        self.assertEqual(
            self.alice.get(self.url).json()["counts"],
            {
                "images": 5,
                "train": 4,
                "validation": 0,
                "test": 1,
                "predicted": 1,
                "pending": 4,
                "annotated": 1,
                "in_parts": 0,
                "leased": 1,
                "queued": 1,
                "corrected_cells": 3,
                "images_per_minute": 0,
            },
        )
        make_version(self.dataset, "detector")
        counts = self.alice.get(self.url).json()["counts"]
        self.assertEqual((counts["predicted"], counts["pending"]), (0, 5))

    def test_the_rate_is_that_of_the_last_minutes_and_none_when_nothing_comes_any_more(
        self,
    ) -> None:
        version, now = make_version(self.dataset), timezone.now()
        predictions = [make_prediction(make_image(self.dataset), version) for _ in range(5)]

        def rate(seconds_ago: int, apart: int, took: float = 0.5) -> float:
            for number, each in enumerate(predictions):
                at = now - timedelta(seconds=seconds_ago + apart * number)
                Prediction.objects.filter(pk=each.pk).update(created_at=at, seconds=took)
            return float(self.alice.get(self.url).json()["counts"]["images_per_minute"])

        self.assertAlmostEqual(rate(2, 3), 20, places=3)
        self.assertEqual(rate(90, 3), 0)
        # Slides that take ten minutes each are no standstill; half an hour without one is.
        self.assertAlmostEqual(rate(540, 600, took=600.0), 0.1, places=3)
        self.assertEqual(rate(1900, 600, took=600.0), 0)
        # A pause between two quick ones makes none of them slow.
        self.assertAlmostEqual(rate(10, 3600), 120, places=3)
        self.assertEqual(rate(90, 3600), 0)

    def test_the_list_shows_own_sets_in_a_fixed_number_of_queries(self) -> None:
        def fill(count: int) -> None:
            for _ in range(count):
                dataset = make_dataset()
                dataset.memberships.create(user=self.people.bob, role="viewer")
                make_version(dataset)
                make_revision(make_image(dataset))

        bob = client_of(self.people.bob)
        fill(1)
        with self.assertNumQueries(8):
            self.assertEqual(len(bob.get("/api/v1/datasets/").json()["results"]), 2)
        fill(4)
        with self.assertNumQueries(8):
            page = bob.get("/api/v1/datasets/").json()
        self.assertEqual(len(page["results"]), 6)
        self.assertEqual({row["role"] for row in page["results"]}, {"annotator", "viewer"})
        self.assertEqual(
            client_of(self.people.charlie).get("/api/v1/datasets/").json()["results"], []
        )

    def test_settings_and_types_change(self) -> None:
        hek = self.dataset.types.get(name="HEK")
        make_image(self.dataset, "HEK_b1_1.tif")
        change = {
            "lease_minutes": 5,
            "retrain_every_hours": None,
            "types": [{"id": hek.pk, "name": "HEK293", "color": "#FF0000"}, {"name": "CHO"}],
        }
        body = self.alice.patch(self.url, change, format="json").json()
        self.assertEqual(body["lease_minutes"], 5)
        self.assertEqual([row["name"] for row in body["types"]], ["HEK293", "N2a", "CHO"])
        self.assertEqual(body["types"][0]["color"], "#ff0000")
        self.assertEqual(Image.objects.get().culture, "HEK293")

    def test_how_images_are_asked_for_is_set(self) -> None:
        body = self.alice.get(self.url).json()
        self.assertEqual((body["asking"], body["strategy"]), ("image", "uncertainty"))
        change = {
            "asking": "region",
            "strategy": "random",
            "region_minutes": 5,
            "gold_every": 20,
            "repeat_every": 2,
        }
        answer = self.alice.patch(self.url, change, format="json")
        self.assertEqual({key: answer.json()[key] for key in change}, change)
        self.dataset.refresh_from_db()
        self.assertEqual({key: getattr(self.dataset, key) for key in change}, change)
        bob = client_of(self.people.bob)
        self.assertEqual(bob.patch(self.url, change, format="json").status_code, 403)

    def test_a_strategy_that_there_is_not_is_refused_and_the_known_are_named(self) -> None:
        listed = self.alice.get("/api/v1/strategies/").json()
        names = [row["name"] for row in listed]
        self.assertEqual(names, sorted(EVERY))
        self.assertTrue(all(row["about"] and "\n" not in row["about"] for row in listed), listed)
        answer = self.alice.patch(self.url, {"strategy": "luck"}, format="json")
        self.assertEqual(answer.status_code, 400)
        for name in names:
            self.assertIn(name, answer.json()["message"])
        self.assertIn("strategy", answer.json()["fields"])
        self.assertIn(client_of(None).get("/api/v1/strategies/").status_code, (401, 403))

    def test_a_change_leaves_what_somebody_else_has_set_meanwhile(self) -> None:
        read_before = Dataset.objects.get(pk=self.dataset.pk)
        Dataset.objects.update(description="new", training={"bootstrap": True})
        dataset_update(dataset=read_before, changes={"lease_minutes": 7})
        self.dataset.refresh_from_db()
        self.assertEqual(self.dataset.description, "new")
        self.assertEqual(
            (self.dataset.lease_minutes, self.dataset.training), (7, {"bootstrap": True})
        )

    def test_it_rejects_changes_it_cannot_make(self) -> None:
        for change in (
            {"lease_minutes": 0},
            {"asking": "everything"},
            {"region_minutes": 0},
            {"gold_every": 1},
            {"repeat_every": -1},
            {"strategy": ""},
            {"type_pattern": "{x"},
            {"types": [{"id": 999999, "name": "x"}]},
            {"types": [{"name": "HEK"}]},
            {"types": [{"name": "CHO", "color": "red"}]},
            {"types": [{"name": "C\rHO"}]},
            {"types": [{"name": "C\x1bHO"}]},
            {"types": [{"name": f"type {number}"} for number in range(100)]},
        ):
            with self.subTest(change):
                self.assertEqual(self.alice.patch(self.url, change, format="json").status_code, 400)
        make_image(self.dataset)
        answer = self.alice.patch(self.url, {"channels": ["nucleus"]}, format="json")
        self.assertEqual((answer.status_code, answer.json()["code"]), (409, "conflict"))

    def test_names_are_previewed(self) -> None:
        names = ["hek_b1_3.tif", "CHO_b1_3.tif", "scan.png", "a_masks.tif", "x.txt", "a/../.."]
        rows = self.alice.post(self.url + "name-preview/", {"names": names}, format="json").json()
        kinds = [row["kind"] for row in rows["names"]]
        self.assertEqual(kinds, ["image", "image", "image", "labels", "ignored", "ignored"])
        first = rows["names"][0]
        self.assertEqual((first["type"], first["culture"], first["batch"]), ("HEK", "HEK", "b1"))
        self.assertEqual((first["split"], first["message"]), ("train", None))
        self.assertIn("CHO", rows["names"][1]["message"])
        self.assertIsNone(rows["names"][2]["split"])
        sent = {"names": ["b9-HEK.tif"], "pattern": "{batch}-{type}"}
        row = self.alice.post(self.url + "name-preview/", sent, format="json").json()["names"][0]
        self.assertEqual((row["type"], row["batch"]), ("HEK", "b9"))
        self.assertEqual(
            self.alice.post(
                self.url + "name-preview/", sent | {"pattern": "{"}, format="json"
            ).status_code,
            400,
        )


class Members(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.alice = client_of(self.people.alice)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/members/"

    def roles(self) -> dict[str, str]:
        rows = self.alice.get(self.url).json()["results"]
        return {row["username"]: row["role"] for row in rows}

    def test_who_is_removed_or_made_a_viewer_frees_the_images_they_held(self) -> None:
        url = f"/api/v1/datasets/{self.dataset.pk}/"
        image = make_image(self.dataset)
        for change in ("delete", "post"):
            client_of(self.people.alice).post(
                url + "members/", {"username": "bob", "role": "annotator"}, format="json"
            )
            held = client_of(self.people.bob).post(url + "queue/next/")
            self.assertEqual(held.json()["image"]["id"], image.pk)
            send = getattr(client_of(self.people.alice), change)
            send(url + "members/", {"username": "bob", "role": "viewer"}, format="json")
            again = client_of(self.people.alice).post(url + "queue/next/")
            self.assertEqual(again.status_code, 200, change)
            item = again.json()["id"]
            client_of(self.people.alice).post(f"/api/v1/queue/{item}/release/")

    def test_members_are_invited_promoted_and_removed(self) -> None:
        self.alice.post(self.url, {"username": "charlie", "role": "viewer"}, format="json")
        self.alice.post(self.url, {"username": "bob", "role": "manager"}, format="json")
        answer = self.alice.delete(self.url, {"username": "vera"}, format="json")
        self.assertEqual(answer.status_code, 204)
        self.assertEqual(self.roles(), {"alice": "manager", "bob": "manager", "charlie": "viewer"})
        self.assertEqual(self.alice.delete(self.url + "?username=charlie").status_code, 204)
        self.assertNotIn("charlie", self.roles())

    def test_a_data_set_keeps_a_manager(self) -> None:
        for answer in (
            self.alice.delete(self.url, {"username": "alice"}, format="json"),
            self.alice.post(self.url, {"username": "alice", "role": "viewer"}, format="json"),
        ):
            self.assertEqual((answer.status_code, answer.json()["code"]), (409, "conflict"))
        self.assertEqual(self.roles()["alice"], "manager")

    def test_it_rejects_unknown_people_and_roles(self) -> None:
        for sent in ({"username": "zoe"}, {"username": "bob", "role": "king"}, {}):
            self.assertEqual(self.alice.post(self.url, sent, format="json").status_code, 400)
        gone = self.alice.delete(self.url, {"username": "charlie"}, format="json")
        self.assertEqual(gone.status_code, 404)

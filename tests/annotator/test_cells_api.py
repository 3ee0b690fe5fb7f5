"""The gallery over REST: what is listed, in which order, with which pictures, and for whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import numpy as np
from django.contrib.auth.models import User
from django.test import TestCase
from django.utils import timezone

from annotator.models import Kind, Prediction, QueueItem
from annotator.selectors import cells as selectors
from inference import embeddings
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

Cell = tuple[int, int]  # image, label


class Base(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.version = make_version(self.dataset)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/cells/"

    def predicted(
        self, name: str = "", said: dict[int, dict[str, Any]] | None = None, **options: Any
    ) -> Prediction:
        split = options.pop("split", "train")
        array = options.pop("array", None)
        image = make_image(self.dataset, name, array=array, split=split)
        prediction = make_prediction(image, self.version)
        make_cells(prediction, said, **options)
        return prediction

    def read(self, user: User | None = None, **query: Any) -> Any:
        return client_of(user or self.people.vera).get(self.url, query)

    def listed(self, **query: Any) -> list[Cell]:
        answer = self.read(**query)
        self.assertEqual(answer.status_code, 200, answer.content)
        return [cell for cell, _ in rows_of(answer.json())]

    def post(self, path: str, body: Any, user: User | None = None) -> Any:
        client = client_of(user or self.people.bob)
        return client.post(f"{self.url}{path}/", body, format="json")


def rows_of(body: dict[str, Any]) -> list[tuple[Cell, dict[str, Any]]]:
    """((image, label), the rest of its columns) of each cell."""
    types = [*body["types"], None]
    return [
        (
            (body["images"][image]["id"], label),
            {
                "type": types[kind],
                "uncertainty": None if doubt < 0 else doubt / 1000,
                "answered": bool(answered),
            },
        )
        for image, label, kind, doubt, answered in zip(
            *(body[name] for name in ("image", "label", "type", "uncertainty", "answered")),
            strict=True,
        )
    ]


class Listing(Base):
    def test_an_unrevised_image_shows_its_newest_prediction(self) -> None:
        old = self.predicted()
        newer = make_version(self.dataset, stage="candidate")
        new = make_prediction(old.image, newer, square_labels(2))
        make_cells(new, {2: {"uncertainty": 0.25, "type": "N2a"}})
        body = self.read().json()
        self.assertEqual(body["images"][0]["prediction"], new.pk)
        self.assertEqual(body["images"][0]["revision"], 0)
        rows = dict(rows_of(body))
        self.assertEqual(set(rows), {(old.image_id, 1), (old.image_id, 2)})
        self.assertEqual(
            rows[old.image_id, 2], {"type": "N2a", "uncertainty": 0.25, "answered": False}
        )

    def test_a_revised_image_shows_its_head_with_what_the_models_say_of_each_place(self) -> None:
        prediction = self.predicted(
            said={1: {"uncertainty": 0.1}, 2: {"uncertainty": 0.2}, 3: {"uncertainty": 0.3}}
        )
        labels = square_labels(3)
        labels[labels == 2] = 9  # the same cell by another number
        labels[labels == 3] = 0
        labels[30:40, 30:40] = 3  # another cell by the same number
        types = {1: "HEK", 9: "N2a", 3: None}
        make_revision(prediction.image, self.people.alice, labels, types)
        body = self.read().json()
        self.assertEqual(body["images"][0]["revision"], 1)
        image = prediction.image_id
        self.assertEqual(
            dict(rows_of(body)),
            {
                (image, 1): {"type": "HEK", "uncertainty": 0.1, "answered": True},
                (image, 9): {"type": "N2a", "uncertainty": 0.2, "answered": True},
                (image, 3): {"type": None, "uncertainty": None, "answered": True},
            },
        )

    def test_in_part_complete_images_tell_which_cells_were_answered_for(self) -> None:
        prediction = self.predicted(type="HEK")
        self.post("change", self.change_of(prediction, [2]))
        rows = dict(rows_of(self.read().json()))
        self.assertEqual(
            [rows[prediction.image_id, label]["answered"] for label in (1, 2, 3)],
            [False, True, False],
        )
        self.assertEqual(self.listed(answered="true"), [(prediction.image_id, 2)])
        self.assertEqual(len(self.listed(answered="false")), 2)

    def change_of(self, prediction: Prediction, labels: list[int]) -> dict[str, Any]:
        cells = {
            "image": prediction.image_id,
            "revision": 0,
            "prediction": prediction.pk,
            "labels": labels,
        }
        return {"verdict": "accepted", "images": [cells]}

    def test_on_a_single_type_culture_cells_have_the_type_of_the_file_name(self) -> None:
        self.predicted("N2a_b1_1.tif", type="HEK")
        self.assertEqual(len(self.listed(type="N2a")), 3)

    def test_filters(self) -> None:
        said: dict[int, dict[str, Any]] = {
            1: {"type": "HEK", "uncertainty": 0.9, "seen_by": "detector"},
            2: {"type": "N2a", "uncertainty": 0.4},
            3: {"uncertainty": 0.1},
        }
        first, second = self.predicted(said=said), self.predicted(said=said, split="test")
        one, two = first.image_id, second.image_id
        self.assertEqual(self.listed(image=one, type="N2a"), [(one, 2)])
        self.assertEqual(self.listed(split="test"), [(two, 1), (two, 2), (two, 3)])
        self.assertEqual(self.listed(type="none"), [(one, 3), (two, 3)])
        self.assertEqual(self.listed(seen_by="detector"), [(one, 1), (two, 1)])
        self.assertEqual(self.listed(min_uncertainty="0.4", image=two), [(two, 1), (two, 2)])
        self.assertEqual(self.listed(image=12345), [])

    def test_the_most_uncertain_first_and_those_that_no_model_has_seen_last(self) -> None:
        prediction = self.predicted(said={2: {"uncertainty": 0.9}, 1: {"uncertainty": 0.1}})
        drawn = make_image(self.dataset)
        make_revision(drawn, labels=square_labels(1))
        image = prediction.image_id
        self.assertEqual(
            self.listed(sort="uncertainty"), [(image, 2), (image, 3), (image, 1), (drawn.pk, 1)]
        )

    def test_by_type_in_the_data_sets_order(self) -> None:
        image = self.predicted(
            said={1: {"type": "N2a"}, 2: {"type": None}, 3: {"type": "HEK"}}
        ).image_id
        self.assertEqual(self.listed(sort="type"), [(image, 3), (image, 1), (image, 2)])

    def with_embeddings(self) -> list[Prediction]:
        """Two images of three cells: all alike, but for cell 2 of the second."""
        rng = np.random.default_rng(3)
        predictions = []
        for number in range(2):
            base = rng.normal(0, 0.05, (3, embeddings.SIZE)) + np.eye(embeddings.SIZE)[0]
            if number == 1:
                base[1] = np.eye(embeddings.SIZE)[5]
            raw = embeddings.pack(embeddings.unit(base))
            said = {label: {"embedding": raw[label - 1]} for label in (1, 2, 3)}
            predictions.append(self.predicted(said=said, type="HEK"))
        return predictions

    def test_the_most_unusual_of_its_type_comes_first(self) -> None:
        _, odd = self.with_embeddings()
        answer = self.read(sort="outliers").json()
        self.assertEqual(answer["looks"], "embeddings")
        self.assertEqual(rows_of(answer)[0][0], (odd.image_id, 2))

    def test_a_cell_first_then_those_like_it(self) -> None:
        one, odd = self.with_embeddings()
        order = self.listed(sort="nearest", near=f"{one.image_id}:3")
        self.assertEqual((order[0], order[-1]), ((one.image_id, 3), (odd.image_id, 2)))
        for near in ("", "7", "1:2:3", "99999:1"):
            with self.subTest(near):
                self.assertEqual(self.read(sort="nearest", near=near).status_code, 400)

    def test_cells_like_one_that_the_filters_leave_out_are_found(self) -> None:
        one, odd = self.with_embeddings()
        near = f"{odd.image_id}:2"
        order = self.listed(sort="nearest", near=near, image=one.image_id)
        self.assertEqual({image for image, _ in order}, {one.image_id})
        self.assertEqual(self.listed(sort="nearest", near=near)[0], (odd.image_id, 2))
        # Without embeddings: of two small cells beside a large one the larger first.
        labels = np.zeros((48, 64), np.uint16)
        labels[2:6, 2:6], labels[10:20, 10:20], labels[2:9, 30:37] = 1, 2, 3
        plain = make_prediction(make_image(self.dataset), self.version, labels)
        make_cells(plain, {2: {"type": "N2a"}}, type="HEK")
        near = f"{plain.image_id}:2"
        order = self.listed(sort="nearest", near=near, image=plain.image_id, type="HEK")
        self.assertEqual(order, [(plain.image_id, 3), (plain.image_id, 1)])

    def test_without_embeddings_sizes_and_shapes_tell_what_is_unusual(self) -> None:
        labels = square_labels(5)
        labels[30:48, 0:50] = 6
        image = make_image(self.dataset)
        make_cells(make_prediction(image, self.version, labels))
        answer = self.read(sort="outliers").json()
        self.assertEqual(answer["looks"], "measures")
        self.assertEqual(rows_of(answer)[0][0], (image.pk, 6))

    def test_a_list_is_no_longer_than_it_may_be_and_says_so(self) -> None:
        first, second = self.predicted(), self.predicted()
        with mock.patch.object(selectors, "MOST_CELLS", 4):
            answer = self.read().json()
        self.assertEqual({image["id"] for image in answer["images"]}, {second.image_id})
        self.assertEqual(answer["left_off"], 3)
        self.assertEqual(len(answer["label"]), 3)
        self.assertNotIn(first.image_id, [image["id"] for image in answer["images"]])

    def test_however_many_images_it_asks_the_database_the_same_few_questions(self) -> None:
        for _ in range(3):
            self.predicted()
        make_revision(self.predicted().image)
        with self.assertNumQueries(10):
            self.listed(sort="uncertainty")

    def test_the_truth_of_a_gold_image_is_hidden_from_whom_it_measures(self) -> None:
        prediction = self.predicted(type="HEK")
        image = prediction.image
        make_revision(image, self.people.alice, types={1: "N2a"})
        QueueItem.objects.create(
            image=image,
            kind=Kind.GOLD,
            score=0,
            annotator=self.people.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )
        (row,) = self.read(self.people.bob, image=image.pk).json()["images"]
        self.assertEqual(row["revision"], 0)
        self.assertEqual(rows_of(self.read(self.people.bob).json())[0][1]["type"], "HEK")
        self.assertEqual(rows_of(self.read(self.people.vera).json())[0][1]["type"], "N2a")
        group = {"image": image.pk, "revision": 1, "prediction": None, "labels": [1]}
        self.assertEqual(self.post("crops", {"cells": [group]}).json(), {"crops": []})
        detail = client_of(self.people.bob).get(f"/api/v1/images/{image.pk}/cells/1/").json()
        self.assertEqual(detail["type"], "HEK")

    def test_an_empty_data_set_is_an_empty_list(self) -> None:
        make_image(self.dataset)
        for sort in ("image", "uncertainty", "type", "outliers"):
            self.assertEqual(self.listed(sort=sort), [])

    def test_what_cannot_be_asked_is_refused(self) -> None:
        queries: tuple[dict[str, Any], ...] = (
            {"sort": "beauty"},
            {"type": "CHO"},
            {"split": "x"},
            {"min_uncertainty": "2"},
            {"image": "0"},
            {"answered": "perhaps"},
        )
        for query in queries:
            with self.subTest(query):
                self.assertEqual(self.read(**query).status_code, 400)

    def test_a_browser_gets_it_zipped(self) -> None:
        for _ in range(10):
            self.predicted()
        client = client_of(self.people.vera)
        answer = client.get(self.url, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(answer["Content-Encoding"], "gzip")


class Detail(Base):
    def read_cell(self, image: int, label: int, user: User | None = None) -> Any:
        return client_of(user or self.people.vera).get(f"/api/v1/images/{image}/cells/{label}/")

    def test_a_predicted_cell_with_what_the_models_say(self) -> None:
        said = {2: {"terms": {"border": 0.7}, "probabilities": {"HEK": 0.6, "N2a": 0.4}}}
        image = self.predicted(said=said, type="HEK").image_id
        body = self.read_cell(image, 2).json()
        self.assertEqual((body["type"], body["type_source"]), ("HEK", "model"))
        self.assertEqual((body["area"], body["terms"]), (64, {"border": 0.7}))
        self.assertEqual(body["probabilities"], {"HEK": 0.6, "N2a": 0.4})
        self.assertEqual((body["uncertainty"], body["committee"]), (0.5, False))

    def test_a_revised_cell_keeps_its_own_type_beside_the_models_opinion(self) -> None:
        prediction = self.predicted(type="HEK", probabilities={"HEK": 1.0})
        labels = square_labels(3) * 5
        labels[40:48, 40:48] = 77
        make_revision(prediction.image, labels=labels, types={5: "N2a"})
        body = self.read_cell(prediction.image_id, 5).json()
        self.assertEqual((body["type"], body["type_source"]), ("N2a", "human"))
        self.assertEqual(body["probabilities"], {"HEK": 1.0})
        unseen = self.read_cell(prediction.image_id, 77).json()
        self.assertEqual((unseen["score"], unseen["terms"]), (None, {}))

    def test_a_single_type_culture_says_where_the_type_comes_from(self) -> None:
        image = self.predicted("HEK_b1_1.tif", type="N2a").image_id
        body = self.read_cell(image, 1).json()
        self.assertEqual((body["type"], body["type_source"]), ("HEK", "file_name"))

    def test_what_is_not_there_is_a_404(self) -> None:
        image = self.predicted().image_id
        self.assertEqual(self.read_cell(image, 9).status_code, 404)
        self.assertEqual(self.read_cell(make_image(self.dataset).pk, 1).status_code, 404)
        self.assertEqual(self.read_cell(image, 1, self.people.charlie).status_code, 404)

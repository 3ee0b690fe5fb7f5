"""What is asked: by the data set's strategy, as whole images or regions, with its reasons."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
from django.test import TestCase

from annotator.models import (
    GALLERY,
    Image,
    Outcome,
    PredictedCell,
    Prediction,
    QueueItem,
)
from annotator.selectors.asking import effort_of
from annotator.services.queue import queue_next, queue_refresh
from inference import embeddings
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


def predicted(dataset: Any, name: str, **fields: Any) -> Prediction:
    return make_prediction(make_image(dataset, name, split="train"), **fields)


def order_of(dataset: Any) -> list[str]:
    queue_refresh(dataset=dataset)
    items = QueueItem.objects.filter(closed_at=None).order_by("-score", "id")
    return [item.image.name for item in items.select_related("image")]


class StrategyTest(TestCase):
    def test_the_data_sets_strategy_decides_and_is_given_as_a_reason(self) -> None:
        dataset = make_dataset(strategy="value")
        make_version(dataset)
        predicted(dataset, "slow.tif", uncertainty=0.9, summary={"wrong": 0.5})
        predicted(dataset, "worth.tif", uncertainty=0.1, summary={"wrong": 3.0})
        self.assertEqual(order_of(dataset), ["worth.tif", "slow.tif"])
        item = QueueItem.objects.get(image__name="worth.tif")
        self.assertEqual(item.reasons[0]["code"], "value")
        self.assertGreater(item.minutes or 0, 0)

    def test_looks_count_beside_images_that_have_none(self) -> None:
        """A damaged style, and none of a model of an older release."""
        dataset = make_dataset(strategy="novel")
        make_version(dataset)
        predicted(dataset, "damaged.tif", style=b"odd", uncertainty=0.9)
        predicted(dataset, "older.tif", style=None, uncertainty=0.9)
        known, unlike = embeddings.pack(np.eye(2, 64) * 5)
        for number in range(5):
            predicted(dataset, f"alike{number}.tif", style=known, uncertainty=0.9)
        make_revision(predicted(dataset, "annotated.tif", style=known).image)
        predicted(dataset, "unlike.tif", style=unlike, uncertainty=0.1)
        order = order_of(dataset)
        self.assertEqual((order[0], len(order)), ("unlike.tif", 8))

    def test_a_rare_type_comes_first_when_types_are_to_be_balanced(self) -> None:
        dataset = make_dataset(strategy="balanced")
        make_version(dataset)
        for number in range(4):
            types = {"HEK": 20.0, "N2a": 0.1}
            predicted(dataset, f"common{number}.tif", summary={"types": types}, uncertainty=0.6)
        rare = {"types": {"HEK": 1.0, "N2a": 6.0}}
        predicted(dataset, "rare.tif", summary=rare, uncertainty=0.1)
        self.assertEqual(order_of(dataset)[0], "rare.tif")

    def test_what_looks_like_nothing_that_was_annotated_comes_first(self) -> None:
        dataset = make_dataset(strategy="novel")
        segmenter = make_version(dataset)
        known, alike, unlike = embeddings.pack(np.eye(3, 64)[[0, 0, 1]] * 5)
        annotated = predicted(dataset, "annotated.tif", style=known)
        make_revision(annotated.image)
        predicted(dataset, "alike.tif", style=alike, uncertainty=0.9)
        predicted(dataset, "unlike.tif", style=unlike, uncertainty=0.1)
        self.assertEqual(order_of(dataset), ["unlike.tif", "alike.tif"])
        reasons = QueueItem.objects.get(image__name="unlike.tif").reasons
        self.assertEqual(reasons[0]["code"], "novel")
        self.assertEqual(annotated.segmenter, segmenter)

    def test_a_cell_answered_for_in_the_gallery_does_not_send_its_image_to_the_end(self) -> None:
        dataset = make_dataset(strategy="novel")
        make_version(dataset)
        known, unlike = embeddings.pack(np.eye(2, 64) * 5)
        make_revision(predicted(dataset, "annotated.tif", style=known).image)
        begun = predicted(dataset, "begun.tif", style=unlike)
        make_revision(
            begun.image, complete_regions=[[0, 0, 9, 9]], prediction=begun, source=GALLERY
        )
        predicted(dataset, "alike.tif", style=known)
        self.assertEqual(order_of(dataset)[0], "begun.tif")

    def test_an_image_that_looks_like_a_better_one_waits(self) -> None:
        dataset = make_dataset()
        make_version(dataset)
        looks = np.eye(8, 64) * 5
        for number, look in enumerate(looks):
            [style] = embeddings.pack(look[None])
            predicted(dataset, f"{number}.tif", uncertainty=0.9 - 0.1 * number, style=style)
        [twin] = embeddings.pack(looks[:1] + 0.001)
        predicted(dataset, "twin.tif", uncertainty=0.85, style=twin)
        names = order_of(dataset)
        self.assertEqual(names[0], "0.tif")
        self.assertEqual(names[-1], "twin.tif")

    def test_scores_of_what_waits_follow_when_something_new_changes_the_order(self) -> None:
        dataset = make_dataset(strategy="mixed-quota")
        make_version(dataset)
        for number in range(3):
            predicted(dataset, f"HEK_a_{number}.tif", uncertainty=0.5 + 0.1 * number)
        first = order_of(dataset)
        self.assertEqual(first[0], "HEK_a_2.tif")
        predicted(dataset, "mixed_a_1.tif", uncertainty=0.2)
        self.assertEqual(order_of(dataset)[:2], ["mixed_a_1.tif", "HEK_a_2.tif"])
        self.assertEqual(queue_refresh(dataset=dataset), 0)


class RegionTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset(asking="region", region_minutes=1)
        self.people = make_people(self.dataset)
        make_version(self.dataset)
        image = make_image(
            self.dataset,
            "large.tif",
            np.random.default_rng(0).integers(0, 99, (2, 400, 400), np.uint16),
            split="train",
        )
        self.image = Image.objects.get(pk=image.pk)
        self.labels = square_labels(625, (400, 400), 14)
        self.prediction = make_prediction(self.image, labels=self.labels, diameter=14.0)
        self.cells(bad=lambda x, y: x > 250 and y > 250)

    def cells(self, bad: Any) -> None:
        rows = []
        for label in range(1, 626):
            y, x = (int(v) for v in np.argwhere(self.labels == label).mean(axis=0))
            box = [x - 7, y - 7, x + 7, y + 7]
            wrong = 0.8 if bad(x, y) else 0.01
            rows.append(
                PredictedCell(
                    prediction=self.prediction,
                    label=label,
                    score=0.9,
                    uncertainty=wrong,
                    seen_by="both",
                    bbox=box,
                    area=196,
                    centroid=[x, y],
                )
            )
        PredictedCell.objects.bulk_create(rows)

    def ask(self) -> QueueItem:
        item = queue_next(dataset=self.dataset, annotator=self.people.bob, draw=lambda: 0.99)
        assert item is not None
        return item

    def submit(self, item: QueueItem) -> None:
        head = self.image.revisions.order_by("-number").first()
        done = [*(head.complete_regions or [] if head else []), item.region]
        make_revision(self.image, self.people.bob, self.labels, complete_regions=done)

    def test_a_window_of_a_few_minutes_where_the_errors_are_and_then_the_next(self) -> None:
        first = self.ask()
        assert first.region is not None
        x0, y0, x1, y1 = first.region
        self.assertGreater(x1, 250)
        self.assertGreater(y1, 250)
        self.assertLess((x1 - x0) * (y1 - y0), 0.5 * 400 * 400)
        self.assertIn("likely wrong", first.reasons[0]["text"])
        self.submit(first)
        first.refresh_from_db()
        self.assertEqual(first.outcome, Outcome.SUBMITTED)
        second = self.ask()
        self.assertNotEqual(second.pk, first.pk)
        self.assertNotEqual(second.region, first.region)

    def test_it_ends_when_little_is_left_to_put_right(self) -> None:
        asked = 0
        while asked < 80:
            item = queue_next(dataset=self.dataset, annotator=self.people.bob, draw=lambda: 0.99)
            if item is None:
                break
            self.submit(item)
            asked += 1
        self.assertGreater(asked, 2)
        self.assertLess(asked, 80)

    def test_cells_answered_for_in_the_gallery_take_no_image_out_of_the_queue(self) -> None:
        PredictedCell.objects.update(uncertainty=0.0001)
        cell = [[0, 0, 14, 14]]
        for source, asked in ((GALLERY, 1), ("browser", 0)):
            make_revision(
                self.image, self.people.bob, self.labels, complete_regions=cell, source=source
            )
            queue_refresh(dataset=self.dataset)
            self.assertEqual(QueueItem.objects.filter(closed_at=None).count(), asked)

    def test_what_has_nothing_left_to_ask_is_not_compared_again_at_every_refresh(self) -> None:
        item = self.ask()
        whole = [0, 0, 400, 400]
        make_revision(self.image, self.people.bob, self.labels, complete_regions=[whole])
        queue_refresh(dataset=self.dataset)
        with mock.patch("annotator.services.queue.asks") as compared:
            self.assertEqual(queue_refresh(dataset=self.dataset), 0)
        compared.assert_not_called()
        self.assertFalse(QueueItem.objects.filter(closed_at=None).exists())
        make_revision(self.image, self.people.bob, self.labels, complete_regions=[item.region])
        queue_refresh(dataset=self.dataset)
        self.assertTrue(QueueItem.objects.filter(closed_at=None).exists())

    def test_the_times_of_regions_tell_how_long_the_next_takes(self) -> None:
        usual = effort_of(self.dataset)
        done = [[300, 300, 400, 400]]
        timed: dict[str, Any] = {"seconds_spent": 600.0, "corrected_cells": 2}
        who = self.people.bob
        make_revision(self.image, who, self.labels, complete_regions=done, source=GALLERY, **timed)
        self.assertEqual(effort_of(self.dataset), usual)  # cells of a list are other work
        make_revision(
            self.image, who, self.labels, complete_regions=[*done, [0, 0, 100, 100]], **timed
        )
        with mock.patch("annotator.selectors.asking.fit_effort") as fitted:
            effort_of(self.dataset)
        fitted.assert_called_once_with([(49, 2, 600.0)])

    def test_other_settings_change_what_waits(self) -> None:
        queue_refresh(dataset=self.dataset)
        self.assertIsNotNone(QueueItem.objects.get().region)
        path = f"/api/v1/datasets/{self.dataset.pk}/"
        alice = client_of(self.people.alice)
        self.assertEqual(alice.patch(path, {"asking": "image"}, format="json").status_code, 200)
        self.dataset.refresh_from_db()
        queue_refresh(dataset=self.dataset)
        item = QueueItem.objects.get()
        self.assertEqual((item.region, item.prediction), (None, self.prediction))
        held = self.ask()
        alice.patch(path, {"strategy": "value"}, format="json")
        held.refresh_from_db()
        self.assertEqual(held.prediction, self.prediction)

    def test_by_chance_the_window_is_not_the_most_doubtful_one(self) -> None:
        queue_refresh(dataset=self.dataset)
        best = QueueItem.objects.get().region
        QueueItem.objects.all().delete()
        self.dataset.strategy = "random"
        self.dataset.save()
        with mock.patch("annotator.services.asking.draw", return_value=0.0):
            queue_refresh(dataset=self.dataset)
        item = QueueItem.objects.get()
        self.assertNotEqual(item.region, best)
        self.assertEqual(item.reasons[1]["text"], "chosen at random")

    def test_a_whole_revision_ends_it_at_once(self) -> None:
        self.ask()
        make_revision(self.image, self.people.bob, self.labels)
        self.assertIsNone(queue_next(dataset=self.dataset, annotator=self.people.bob))

    def test_test_images_are_asked_as_a_whole(self) -> None:
        self.image.split = "test"
        self.image.save()
        self.assertIsNone(self.ask().region)

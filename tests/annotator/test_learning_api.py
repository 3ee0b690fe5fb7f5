"""The learning curve over REST, by figures that a hand can check."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotator.models import (
    Evaluation,
    Image,
    ModelVersion,
    Revision,
    Snapshot,
    TrainingRun,
)
from annotator.services.snapshots import snapshot_create
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people

_count = itertools.count(1)


class LearningCase(TestCase):
    def setUp(self) -> None:
        cache.clear()
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.url = f"/api/v1/datasets/{self.dataset.pk}/learning-curve/"

    def read(self) -> Any:
        answer = client_of(self.people.vera).get(self.url)
        self.assertEqual(answer.status_code, 200, answer.content)
        return answer.json()

    def family(self, name: str = "segmenter") -> Any:
        return next(each for each in self.read()["families"] if each["family"] == name)

    def trained(
        self, family: str = "segmenter", snapshot: Snapshot | None = None, **fields: Any
    ) -> ModelVersion:
        """A version that a run made of ``snapshot``."""
        version = make_version(self.dataset, family, "candidate")
        TrainingRun.objects.create(
            dataset=self.dataset,
            family=family,
            status="done",
            reason="asked for",
            snapshot=snapshot or self.snapshot(100, family),
            candidate=version,
            **fields,
        )
        return version

    def snapshot(self, cells: int, family: str = "segmenter") -> Snapshot:
        """One training image with ``cells`` cells, by its entry alone."""
        number = next(_count)
        entry = {
            "image": number,
            "split": "train",
            "revision": 10_000 + number,
            "complete_regions": None,
            "cells": cells,
        }
        return Snapshot.objects.create(
            dataset=self.dataset, family=family, hash=f"{number:064x}", entries=[entry]
        )

    def evaluate(
        self, version: ModelVersion, per_image: list[dict[str, Any]], **fields: Any
    ) -> Evaluation:
        """Its AP is the mean over ``per_image``, its type accuracy their share of right types."""
        metrics: dict[str, Any] = {
            "ap50": sum(row["ap50"] for row in per_image) / max(1, len(per_image))
        }
        if per_image and "typed" in per_image[0]:
            metrics["type_accuracy"] = sum(row["typed_right"] for row in per_image) / sum(
                row["typed"] for row in per_image
            )
        return Evaluation.objects.create(
            version=version,
            images=len(per_image) or 9,
            per_image=per_image,
            **{"split": "test", "frozen_hash": "a" * 64, "metrics": metrics} | fields,
        )


def images(*values: float, **beside: Any) -> list[dict[str, Any]]:
    return [{"image": number, "ap50": value, **beside} for number, value in enumerate(values, 1)]


class AccessTest(LearningCase):
    def test_members_read_it_and_strangers_find_nothing(self) -> None:
        for who in (self.people.alice, self.people.bob, self.people.vera):
            self.assertEqual(client_of(who).get(self.url).status_code, 200)
        self.assertEqual(client_of(self.people.charlie).get(self.url).status_code, 404)
        self.assertIn(client_of(None).get(self.url).status_code, (401, 403))

    def test_nothing_trained_is_no_point_and_no_fit(self) -> None:
        body = self.read()
        self.assertEqual([each["points"] for each in body["families"]], [[], []])
        self.assertEqual(body["work"], [])
        self.assertEqual(body["now"]["annotated_cells"], 0)
        self.assertIsNone(body["now"]["minutes"])

    def test_other_data_sets_stay_apart(self) -> None:
        other = make_dataset()
        version = make_version(other)
        TrainingRun.objects.create(
            dataset=other,
            family="segmenter",
            status="done",
            snapshot=Snapshot.objects.create(
                dataset=other, family="segmenter", hash="f" * 64, entries=[]
            ),
            candidate=version,
        )
        self.evaluate(version, images(0.5, 0.6, 0.7))
        make_revision(make_image(other, split="train"), seconds_spent=60)
        body = self.read()
        self.assertEqual(body["families"][0]["points"], [])
        self.assertEqual(body["now"]["revisions"], 0)


class PutInTest(LearningCase):
    def add(self, count: int, split: str = "train", **details: Any) -> Image:
        image = make_image(
            self.dataset, f"mixed_a_{next(_count)}.tif", split=split, culture="mixed"
        )
        make_revision(image, labels=square_labels(count), **details)
        return image

    def test_cells_in_complete_regions_of_revisions_count_and_their_minutes(self) -> None:
        self.add(5, seconds_spent=90)
        # Of three squares from x = 0, 10 and 20 the region shows two.
        self.add(3, complete_regions=[[0, 0, 15, 48]])
        self.add(9, complete_regions=[])  # nothing of it is complete
        self.add(7, split="test", seconds_spent=1000)
        weak = make_image(self.dataset, "HEK_a_1.tif", split="train", culture="HEK")
        make_prediction(weak, make_version(self.dataset))
        snapshot = snapshot_create(dataset=self.dataset, family="detector")
        self.assertEqual(sum("prediction" in entry for entry in snapshot.entries), 1)
        self.trained("detector", snapshot)
        self.add(4, seconds_spent=30)  # after it was trained

        body = self.read()
        (point,) = body["families"][1]["points"]
        put_in = ("annotated_cells", "images", "minutes", "revisions", "untimed")
        self.assertEqual([point[key] for key in put_in], [7, 2, 1.5, 3, 2])
        self.assertEqual([body["now"][key] for key in put_in], [11, 3, 2.0, 4, 2])

    def test_without_a_time_the_minutes_are_not_known(self) -> None:
        self.add(5, source="import")
        self.trained(snapshot=snapshot_create(dataset=self.dataset, family="segmenter"))
        (point,) = self.family()["points"]
        self.assertEqual((point["annotated_cells"], point["minutes"]), (5, None))

    def test_a_later_revision_of_an_image_replaces_its_cells_and_adds_its_minutes(self) -> None:
        image = self.add(5, seconds_spent=60)
        make_revision(image, labels=square_labels(6), seconds_spent=30)
        now = self.read()["now"]
        self.assertEqual((now["annotated_cells"], now["images"]), (6, 1))
        self.assertEqual((now["minutes"], now["revisions"]), (1.5, 2))

    def test_imported_and_rebuilt_versions_are_no_points(self) -> None:
        imported = make_version(self.dataset)
        self.evaluate(imported, images(0.9, 0.9, 0.9))
        original = self.trained()
        self.trained(is_rebuild=True, rebuilds=original)
        self.assertEqual([each["version"] for each in self.family()["points"]], ["segmenter-2"])

    def test_a_snapshot_is_counted_once(self) -> None:
        self.trained()
        self.read()
        with CaptureQueriesContext(
            connection,
        ) as seen:
            self.read()
        self.assertFalse([each for each in seen if '"entries"' in each["sql"]])


class FiguresTest(LearningCase):
    def test_figures_and_their_intervals_by_hand(self) -> None:
        version = self.trained("detector")
        rows = [
            {"image": 1, "ap50": 0.6, "typed": 10, "typed_right": 9},
            {"image": 2, "ap50": 0.8, "typed": 30, "typed_right": 15},
            {"image": 3, "ap50": 0.7, "typed": 0, "typed_right": 0},
        ]
        self.evaluate(version, rows)
        family = self.family("detector")
        ((measured,),) = [point["measured"] for point in family["points"]]
        self.assertAlmostEqual(measured["ap50"]["value"], 0.7)
        # The widest of 27 resamples are (0.6, 0.6, 0.6) and (0.8, 0.8, 0.8), each one in 27.
        self.assertAlmostEqual(measured["ap50"]["low"], 0.7 - 0.1 * 1.5**0.5)
        self.assertAlmostEqual(measured["ap50"]["high"], 0.7 + 0.1 * 1.5**0.5)
        self.assertAlmostEqual(measured["type_accuracy"]["value"], 24 / 40)
        # Two images have typed cells: too few to be resampled.
        self.assertIsNone(measured["type_accuracy"]["low"])
        self.assertEqual([fit["figure"] for fit in family["fits"]], ["ap50", "type_accuracy"])

    def test_a_version_without_figures_of_single_images_has_no_interval(self) -> None:
        version = self.trained()
        self.evaluate(version, [], metrics={"ap50": 0.7})
        ((measured,),) = [point["measured"] for point in self.family()["points"]]
        self.assertEqual(measured["ap50"], {"value": 0.7, "low": None, "high": None})
        self.assertIsNone(measured["type_accuracy"])

    def test_test_sets_are_told_apart_and_the_newest_shared_one_is_the_reference(self) -> None:
        first, second, third = (self.trained() for _ in range(3))
        now = timezone.now()
        for days, digest, versions in (
            (3, "a" * 64, (first, second)),
            (2, "b" * 64, (second, third)),
            (1, "c" * 64, (third,)),
        ):
            for version in versions:
                made = self.evaluate(version, images(0.5, 0.6, 0.7), frozen_hash=digest)
                Evaluation.objects.filter(pk=made.pk).update(created_at=now - timedelta(days=days))
        family = self.family()
        names = [name * 12 for name in "cba"]
        self.assertEqual([each["name"] for each in family["test_sets"]], names)
        self.assertEqual([each["versions"] for each in family["test_sets"]], [1, 2, 2])
        self.assertEqual(family["reference"], "b" * 12)
        on = {
            point["version"]: [each["test_set"] for each in point["measured"]]
            for point in family["points"]
        }
        self.assertEqual(on["segmenter-1"], ["a" * 12])
        self.assertEqual(on["segmenter-2"], ["b" * 12, "a" * 12])

    def test_validation_images_serve_only_without_test_images(self) -> None:
        version = self.trained()
        self.evaluate(version, images(0.9, 0.9, 0.9), split="train", frozen_hash="c" * 64)
        self.assertEqual(self.family()["test_sets"], [])
        self.evaluate(version, images(0.8, 0.8, 0.8), split="validation", frozen_hash="b" * 64)
        self.assertEqual([each["split"] for each in self.family()["test_sets"]], ["validation"])
        self.evaluate(version, images(0.7, 0.7, 0.7))
        self.assertEqual([each["split"] for each in self.family()["test_sets"]], ["test"])


class FitTest(LearningCase):
    def grow(self, *cells: int, flat: bool = False) -> None:
        """Versions on one curve, 0.9 − 2 / √n, measured on ten alike images."""
        for count in cells:
            value = 0.85 if flat else 0.9 - 2 * count**-0.5
            self.evaluate(self.trained(snapshot=self.snapshot(count)), images(*[value] * 10))

    def test_three_versions_tell_what_the_next_cells_bring(self) -> None:
        self.grow(100, 200)
        (fit,) = self.family()["fits"]
        self.assertIsNone(fit["curve"])
        self.assertIn("Too few versions to say: 3", fit["sentence"])
        self.assertIn("2 so far", fit["sentence"])
        self.grow(400, 800)
        (fit,) = self.family()["fits"]
        curve = fit["curve"]
        self.assertEqual((curve["versions"], curve["test_set"]), (4, "a" * 12))
        # 2 / √800 − 2 / √900, from the newest version on: nothing is annotated in the rows.
        self.assertAlmostEqual(curve["next"]["value"], 0.00404, delta=0.0012)
        self.assertTrue(0 <= curve["next"]["low"] < 0.00404 < curve["next"]["high"])
        self.assertEqual((curve["next"]["cells"], curve["far"]["cells"]), (100, 1000))
        self.assertAlmostEqual(curve["far"]["value"], 2 * (800**-0.5 - 1800**-0.5), delta=0.006)
        self.assertTrue(fit["sentence"].startswith("100 more cells would bring about +0.00"))
        drawn = curve["drawn"]
        self.assertEqual((drawn[0]["cells"], drawn[-1]["cells"]), (100, 900))
        self.assertAlmostEqual(drawn[0]["value"], 0.7, delta=0.01)
        self.assertIsNone(drawn[0]["minutes"])

    def test_it_says_when_labels_stop_helping(self) -> None:
        self.grow(200, 800, 1500, 2500, 3500, flat=True)
        (fit,) = self.family()["fits"]
        self.assertEqual(fit["curve"]["verdict"], "stopped")
        self.assertTrue(fit["sentence"].startswith("More labels have stopped helping"))

    def test_test_images_of_another_day_do_not_bend_the_curve(self) -> None:
        self.grow(100, 200, 400)
        before = self.family()["fits"][0]["curve"]["next"]["value"]
        # The next two were measured on harder images; compared with each other they fit the curve.
        for count in (400, 800):
            version = self.trained(snapshot=self.snapshot(count))
            value = 0.6 - 2 * count**-0.5
            self.evaluate(version, images(*[value] * 10), frozen_hash="b" * 64)
        fit = self.family()["fits"][0]["curve"]
        self.assertEqual(fit["versions"], 5)
        self.assertLess(fit["next"]["value"], before)
        self.assertAlmostEqual(fit["next"]["value"], 2 * (800**-0.5 - 900**-0.5), delta=0.002)

    def test_minutes_go_on_at_the_pace_of_late(self) -> None:
        image = make_image(self.dataset, "mixed_a_1.tif", split="train", culture="mixed")
        prediction = make_prediction(image)
        make_revision(image, labels=square_labels(6), prediction=prediction, seconds_spent=60)
        self.grow(100, 200, 400)
        (fit,) = self.family()["fits"]
        # Ten seconds a cell; what is annotated now are six cells.
        self.assertAlmostEqual(fit["curve"]["next"]["minutes"], 100 * 10 / 60)
        self.assertIn("100 more cells, about 17 min of work, would bring", fit["sentence"])

    def test_the_curve_never_goes_back_in_time(self) -> None:
        """Deleted images take their minutes with them, so more cells may show fewer minutes."""
        moments = [timezone.now() - timedelta(days=days) for days in (3, 2, 1)]
        for moment, count in zip(moments, (100, 400, 200), strict=True):
            image = make_image(self.dataset, f"mixed_a_{count}.tif", split="train")
            revision = make_revision(image, seconds_spent=600)
            Revision.objects.filter(pk=revision.pk).update(created_at=moment)
            snapshot = self.snapshot(count)
            Snapshot.objects.filter(pk=snapshot.pk).update(created_at=moment)
            value = 0.9 - 2 * count**-0.5
            self.evaluate(self.trained(snapshot=snapshot), images(*[value] * 10))
        family = self.family()
        self.assertEqual([each["minutes"] for each in family["points"]], [10, 20, 30])
        minutes = [each["minutes"] for each in family["fits"][0]["curve"]["drawn"]]
        self.assertEqual(minutes, sorted(minutes))
        self.assertEqual(minutes[0], 10)

    def test_the_queries_do_not_grow_with_versions_and_images(self) -> None:
        def queries() -> int:
            cache.clear()
            with CaptureQueriesContext(connection) as seen:
                self.read()
            return len(seen)

        def work() -> None:
            image = make_image(self.dataset, f"mixed_a_{next(_count)}.tif", split="train")
            for box in ([0, 0, 15, 48], [15, 0, 64, 48]):
                make_revision(
                    image,
                    prediction=image.predictions.first() or make_prediction(image),
                    complete_regions=[box],
                    seconds_spent=9,
                )

        self.grow(100, 200, 400)
        work()
        few = queries()
        self.grow(500, 600, 700, 800, 900)
        for _ in range(4):
            work()
        self.assertEqual(queries(), few)
        self.assertLessEqual(few, 15)

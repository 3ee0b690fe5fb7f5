"""Work by the models that were begun with over REST, by figures that a hand can check."""

from __future__ import annotations

import itertools
from typing import Any
from unittest import mock

from django.test import TestCase

from annotator.models import CellType, ModelVersion, PredictedCell, Prediction, Revision
from inference.labels import cell_geometry
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


class WorkTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.kinds = {kind.name: kind for kind in CellType.objects.filter(dataset=self.dataset)}
        self.first, self.second = (
            make_version(self.dataset),
            make_version(self.dataset, stage="retired"),
        )
        self.detector = make_version(self.dataset, "detector")

    def read(self) -> Any:
        """Work by models, as a viewer sees it."""
        url = f"/api/v1/datasets/{self.dataset.pk}/learning-curve/"
        return client_of(self.people.vera).get(url).json()["work"]

    def predicted(self, segmenter: ModelVersion, count: int = 4, **fields: Any) -> Prediction:
        """A mixed image with ``count`` squares, all predicted to be HEK."""
        image = make_image(
            self.dataset, f"mixed_a_{next(_count)}.tif", split="train", culture="mixed"
        )
        labels = square_labels(count)
        prediction = make_prediction(image, segmenter, labels, **fields)
        geometry = cell_geometry(labels)
        for row, label in enumerate(geometry.labels.tolist()):
            PredictedCell.objects.create(
                prediction=prediction,
                label=label,
                type=self.kinds["HEK"],
                score=1.0,
                uncertainty=0.1,
                seen_by="both",
                bbox=geometry.boxes[row].tolist(),
                area=int(geometry.areas[row]),
                centroid=geometry.centroids[row].round(2).tolist(),
            )
        return prediction

    def submit(
        self,
        prediction: Prediction,
        labels: Any = None,
        types: dict[int, str | None] | None = None,
        **details: Any,
    ) -> Revision:
        """What was predicted, unless told otherwise."""
        shown = square_labels(prediction.cell_count) if labels is None else labels
        given = dict.fromkeys((int(n) for n in set(shown.ravel()) if n), "HEK") | (types or {})
        return make_revision(
            prediction.image, labels=shown, types=given, prediction=prediction, **details
        )

    def test_work_is_told_by_the_models_that_were_begun_with(self) -> None:
        # Of four cells one is deleted, one retyped: two stay.
        labels = square_labels(4)
        labels[labels == 4] = 0
        self.submit(self.predicted(self.first), labels, {1: "N2a"}, seconds_spent=30)
        # All four stay.
        self.submit(self.predicted(self.first), seconds_spent=8)
        # One pixel of one of five is changed; nobody knows how long it took.
        labels = square_labels(5)
        labels[0, 0] = 0
        self.submit(self.predicted(self.first, 5), labels)
        self.submit(self.predicted(self.second, detector=self.detector), seconds_spent=4)
        newest, oldest = self.read()
        self.assertEqual(
            newest,
            {
                "segmenter": "segmenter-2",
                "detector": "detector-1",
                "images": 1,
                "cells": 4,
                "timed": 1,
                "seconds_per_image": 4.0,
                "seconds_per_cell": 1.0,
                "edits_per_100": 0.0,
                "unchanged": 1.0,
            },
        )
        self.assertEqual((oldest["segmenter"], oldest["detector"]), ("segmenter-1", None))
        self.assertEqual((oldest["images"], oldest["cells"], oldest["timed"]), (3, 12, 2))
        # Medians of 30 and 8 s, and of 30/3 and 8/4 s a cell.
        self.assertEqual((oldest["seconds_per_image"], oldest["seconds_per_cell"]), (19.0, 6.0))
        # Deleted, retyped, changed: three edits to twelve cells; 2 + 4 + 4 of them stayed.
        self.assertAlmostEqual(oldest["edits_per_100"], 25.0)
        self.assertAlmostEqual(oldest["unchanged"], 10 / 12)

    def test_cells_without_a_type_stay_as_predicted_too(self) -> None:
        prediction = self.predicted(self.first)
        prediction.cells.update(type=None)
        labels = square_labels(4)
        labels[labels > 2] = 0
        make_revision(prediction.image, labels=labels, prediction=prediction)
        (row,) = self.read()
        # Two were deleted; the two that are left are as they were.
        self.assertEqual((row["cells"], row["edits_per_100"], row["unchanged"]), (2, 100.0, 1.0))

    def test_on_a_single_type_culture_the_type_of_the_models_does_not_matter(self) -> None:
        prediction = self.predicted(self.first)
        prediction.cells.update(type=self.kinds["N2a"])
        image = prediction.image
        image.culture, image.culture_type = "HEK", self.kinds["HEK"]
        image.save()
        make_revision(image, labels=square_labels(4), types={4: "N2a"}, prediction=prediction)
        (row,) = self.read()
        self.assertEqual((row["cells"], row["edits_per_100"], row["unchanged"]), (4, 25.0, 0.75))

    def test_an_image_done_region_by_region_counts_each_cell_once(self) -> None:
        prediction = self.predicted(self.first, 3)
        self.submit(prediction, complete_regions=[[0, 0, 15, 48]], seconds_spent=6)
        # Then the third square, which is retyped, and the rest of the image: the editor goes on
        # with the revision, and names no prediction.
        make_revision(
            prediction.image,
            labels=square_labels(3),
            types={1: "HEK", 2: "HEK", 3: "N2a"},
            seconds_spent=3,
        )
        (row,) = self.read()
        self.assertEqual((row["images"], row["cells"], row["timed"]), (1, 3, 1))
        self.assertEqual((row["seconds_per_image"], row["seconds_per_cell"]), (9.0, 3.0))
        self.assertAlmostEqual(row["edits_per_100"], 100 / 3)
        self.assertAlmostEqual(row["unchanged"], 2 / 3)

    def test_what_a_region_showed_is_counted_once_and_for_all(self) -> None:
        self.submit(self.predicted(self.first, 3), complete_regions=[[0, 0, 15, 48]])
        before = self.read()
        self.assertEqual(before[0]["cells"], 2)
        with mock.patch("annotator.selectors.effort._shown") as counted:
            self.assertEqual(self.read(), before)
        counted.assert_not_called()
        self.submit(self.predicted(self.first, 3), complete_regions=[[0, 0, 5, 48]])
        self.assertEqual(self.read()[0]["cells"], 3)

    def test_corrections_of_corrections_and_of_nothing_do_not_count(self) -> None:
        prediction = self.predicted(self.first)
        self.submit(prediction, seconds_spent=8)
        labels = square_labels(4)
        labels[0, 0] = 0
        # These correct the revision, not the prediction.
        self.submit(prediction, labels, complete_regions=[[0, 0, 15, 48]], seconds_spent=100)
        make_revision(prediction.image, labels=labels, types={2: "N2a"}, seconds_spent=100)
        make_revision(make_image(self.dataset, split="train"), seconds_spent=50)  # by hand
        self.submit(self.predicted(self.first), complete_regions=[], seconds_spent=70)
        (row,) = self.read()
        self.assertEqual((row["images"], row["seconds_per_image"]), (1, 8.0))
        self.assertEqual((row["edits_per_100"], row["unchanged"]), (0.0, 1.0))

    def test_a_client_that_numbers_cells_anew_has_not_changed_them(self) -> None:
        labels = square_labels(4)
        labels[labels > 0] += 10
        self.submit(self.predicted(self.first), labels)
        (row,) = self.read()
        self.assertEqual((row["edits_per_100"], row["unchanged"]), (0.0, 1.0))
        self.assertEqual((row["timed"], row["seconds_per_image"]), (0, None))

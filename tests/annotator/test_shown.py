"""What an image that is complete in parts shows after a newer prediction."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
from django.test import TestCase

from annotator.models import Revision, TypeSource
from annotator.services.annotations import LARGEST_LABEL
from annotator.services.shown import predicted_state, renewed, revised_state
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

LEFT = [0, 0, 9, 48]  # shows the first of three squares


class Newer(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif", split="train")
        old = make_version(self.dataset, stage="retired")
        self.old = make_prediction(self.image, old)
        make_cells(self.old, type="HEK")
        self.url = f"/api/v1/images/{self.image.pk}/annotation/"
        self.bob = client_of(self.people.bob)

    def head(self, **details: Any) -> Revision:
        """The first square is answered for, and is N2a; the others are as predicted."""
        types: dict[int, str | None] = {1: "N2a", 2: "HEK", 3: "HEK"}
        sources = {2: TypeSource.MODEL.value, 3: TypeSource.MODEL.value}
        given: dict[str, Any] = {"complete_regions": [LEFT], "prediction": self.old}
        given["type_sources"] = sources
        return make_revision(self.image, self.people.bob, types=types, **given | details)

    def newer(self) -> Any:
        """The first square larger, the second as it was, the third gone, and another one."""
        labels = np.zeros((48, 64), np.uint16)
        labels[0:9, 0:9] = 2
        labels[0:8, 10:18] = 1
        labels[30:38, 30:38] = 3
        prediction = make_prediction(self.image, make_version(self.dataset), labels)
        make_cells(prediction, type="N2a")
        return prediction

    def test_people_s_cells_stay_where_it_is_complete_and_new_ones_stand_elsewhere(self) -> None:
        head, newer = self.head(), self.newer()
        state, places = renewed(revised_state(head), predicted_state(newer))
        self.assertEqual(places, {1: 2, 3: 3})  # 1 is taken by the answered one
        self.assertEqual(int((state.labels == 1).sum()), 64)
        self.assertTrue((state.labels[0:8, 10:18] == 2).all())
        self.assertTrue((state.labels[30:38, 30:38] == 3).all())
        self.assertFalse(state.labels[0:8, 20:28].any())
        self.assertEqual(state.types, {1: "N2a", 2: "N2a", 3: "N2a"})
        self.assertEqual(state.sources[2], TypeSource.MODEL)
        self.assertEqual((state.regions, state.number), ([LEFT], 1))

    def test_numbers_stay_small_whatever_people_have_numbered(self) -> None:
        labels = square_labels(1).astype(np.uint32) * LARGEST_LABEL
        make_revision(self.image, labels=labels, complete_regions=[LEFT])
        head = self.image.revisions.get()
        state, places = renewed(revised_state(head), predicted_state(self.newer()))
        self.assertEqual(places, {1: 1, 3: 3})
        self.assertEqual(int(state.labels.max()), LARGEST_LABEL)

    def test_types_that_people_gave_in_a_test_image_stay(self) -> None:
        head = self.head(complete_regions=[])
        state, places = renewed(revised_state(head), predicted_state(self.newer()))
        self.assertEqual(state.types[1], "N2a")
        self.assertEqual(int((state.labels == 1).sum()), 64)
        self.assertEqual(places, {1: 2, 3: 3})

    def test_it_is_read_with_the_newest_prediction_and_handing_it_in_corrects_nothing(self) -> None:
        self.head()
        newer = self.newer()
        before = self.bob.get(self.url).json()
        self.assertEqual(before["prediction"], self.old.pk)
        self.assertEqual(len(before["cells"]), 3)
        answer = self.bob.get(self.url, {"prediction": newer.pk})
        self.assertEqual((answer.status_code, answer["ETag"]), (200, '"1"'))
        cells = {cell["label"]: cell for cell in answer.json()["cells"]}
        self.assertEqual(cells[3]["bbox"], [30, 30, 38, 38])
        self.assertEqual((cells[1]["type"], cells[1]["type_source"]), ("N2a", "human"))
        self.assertEqual(cells[3]["type_source"], "model")
        raw = self.bob.get(f"{self.url}labels/", {"prediction": newer.pk})
        labels = np.frombuffer(gzip.decompress(raw.content), "<u2").reshape(48, 64)
        self.assertEqual(sorted(np.unique(labels).tolist()), [0, 1, 2, 3])
        types: dict[int, str | None] = {label: cell["type"] for label, cell in cells.items()}
        done = [LEFT, [10, 0, 64, 48]]
        revision = make_revision(
            self.image, labels=labels, types=types, complete_regions=done, prediction=newer
        )
        self.assertEqual(revision.corrected_cells, 0)

    def test_who_goes_on_names_no_prediction_and_what_they_drew_beyond_stays(self) -> None:
        self.head()
        labels = square_labels(4)  # the fourth lies where nothing is complete
        make_revision(self.image, self.people.bob, labels, complete_regions=[LEFT])
        answer = self.bob.get(self.url, {"prediction": self.old.pk}).json()
        self.assertEqual((answer["prediction"], len(answer["cells"])), (self.old.pk, 4))
        newer = self.newer()
        answer = self.bob.get(self.url, {"prediction": newer.pk}).json()
        self.assertEqual((answer["prediction"], len(answer["cells"])), (self.old.pk, 3))

    def test_what_says_nothing_new_changes_nothing(self) -> None:
        head = self.head()
        elsewhere = make_prediction(make_image(self.dataset), self.old.segmenter)
        for asked in (self.old.pk, elsewhere.pk, 10**17, ""):
            answer = self.bob.get(self.url, {"prediction": asked}).json()
            self.assertEqual(len(answer["cells"]), head.cell_count, asked)
        self.assertEqual(self.bob.get(self.url, {"prediction": "½"}).status_code, 400)
        make_revision(self.image, self.people.bob, square_labels(4))
        whole = self.bob.get(self.url, {"prediction": self.newer().pk}).json()
        self.assertEqual(len(whole["cells"]), 4)

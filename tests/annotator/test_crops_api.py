"""Pictures of cells over REST: what they show, and that they are made once."""

from __future__ import annotations

import base64
import io
import re
from typing import Any
from unittest import mock

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image as Pillow

from annotator import storage
from annotator.models import Prediction
from annotator.services.images import composite, image_delete
from tests.annotator.factories import make_image, make_prediction, make_revision, square_labels
from tests.annotator.test_cells_api import Base, Cell


class Pictures(Base):
    def asked(self, prediction: Prediction, labels: list[int], revision: int = 0) -> dict[str, Any]:
        return {
            "image": prediction.image_id,
            "revision": revision,
            "prediction": prediction.pk,
            "labels": labels,
        }

    def crops(self, *groups: dict[str, Any]) -> dict[Cell, dict[str, Any]]:
        answer = self.post("crops", {"cells": list(groups)}, self.people.vera)
        self.assertEqual(answer.status_code, 200, answer.content)
        return {(crop["image"], crop["label"]): crop for crop in answer.json()["crops"]}

    def test_a_picture_shows_the_cell_in_the_colours_of_its_channels(self) -> None:
        array = np.zeros((2, 48, 64), np.uint16)
        array[0, 20:30, 20:30] = 4000  # cytoplasm: green
        array[1, 23:27, 23:27] = 4000  # nucleus: blue
        labels = np.zeros((48, 64), np.uint16)
        labels[20:30, 20:30] = 1
        prediction = make_prediction(make_image(self.dataset, array=array), self.version, labels)
        (crop,) = self.crops(self.asked(prediction, [1])).values()
        picture = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(crop["picture"]))))
        self.assertEqual(picture.shape, (64, 64, 3))
        self.assertEqual(crop["side"], 24)
        red, green, blue = picture[32, 32].tolist()
        self.assertTrue(red < 40 and green > 200 and blue > 200, picture[32, 32])
        self.assertTrue(picture[32, 20, 1] > 200 and picture[32, 20, 2] < 60)
        self.assertLess(int(picture[3, 3].max()), 30)
        self.assertRegex(crop["outline"], r"^M\d+ \d+L.*Z$")

    def test_a_cell_at_the_edge_is_in_the_middle_of_its_picture(self) -> None:
        array = np.full((2, 48, 64), 1000, np.uint16)
        array[:, :8, :8] = 4000
        prediction = make_prediction(
            make_image(self.dataset, array=array), self.version, square_labels(1)
        )
        (crop,) = self.crops(self.asked(prediction, [1])).values()
        picture = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(crop["picture"]))))
        self.assertLess(int(picture[5:15, 5:15].max()), 30)  # beyond the image
        self.assertGreater(int(picture[30:34, 30:34, 1].min()), 200)

    def test_cells_of_many_images_in_one_answer_as_far_as_they_are_there(self) -> None:
        one, two = self.predicted(), self.predicted()
        found = self.crops(self.asked(one, [1, 3, 77]), self.asked(two, [2]))
        self.assertEqual(set(found), {(one.image_id, 1), (one.image_id, 3), (two.image_id, 2)})

    def test_a_revisions_cells_are_those_of_the_revision(self) -> None:
        prediction = self.predicted()
        labels = np.zeros((48, 64), np.uint16)
        labels[30:40, 30:60] = 1
        make_revision(prediction.image, labels=labels)
        (revised,) = self.crops(self.asked(prediction, [1], revision=1)).values()
        (predicted,) = self.crops(self.asked(prediction, [1])).values()
        self.assertGreater(revised["side"], predicted["side"])

    def test_a_second_look_reads_neither_the_image_nor_its_labels(self) -> None:
        prediction = self.predicted()
        first = self.crops(self.asked(prediction, [1, 2]))
        with (
            mock.patch("annotator.services.crops.image_array") as image,
            mock.patch.object(storage, "labels_get") as labels,
        ):
            second = self.crops(self.asked(prediction, [1, 2]))
        self.assertEqual(second, first)
        self.assertFalse(image.called or labels.called)

    def test_pictures_of_outdated_labels_are_removed_and_all_with_the_image(self) -> None:
        prediction = self.predicted()
        folder = f"crops/{prediction.image.sha256[:2]}/{prediction.image.sha256}"
        self.crops(self.asked(prediction, [1]))
        for number in (1, 2, 3):
            labels = square_labels(number + 3)
            make_revision(prediction.image, labels=labels)
            self.crops(self.asked(prediction, [1], revision=number))
        # The prediction's, and the two newest revisions'.
        self.assertEqual(len(storage.keys_under(folder)), 3)
        image_delete(image=prediction.image)
        self.assertEqual(storage.keys_under(folder), [])

    def test_a_damaged_sheet_is_made_again(self) -> None:
        prediction = self.predicted()
        first = self.crops(self.asked(prediction, [1]))
        (key,) = storage.keys_under(f"crops/{prediction.image.sha256[:2]}")
        with default_storage.open(key, "wb") as file:
            file.write(b"{")
        self.assertEqual(self.crops(self.asked(prediction, [1])), first)

    def test_a_single_channel_is_gray(self) -> None:
        self.dataset.channels = ["nucleus"]
        self.dataset.save()
        prediction = self.predicted()
        (crop,) = self.crops(self.asked(prediction, [1])).values()
        self.assertEqual(Pillow.open(io.BytesIO(base64.b64decode(crop["picture"]))).mode, "L")

    def test_more_than_two_hundred_cells_or_forty_images_are_refused(self) -> None:
        prediction = self.predicted()
        limit = "Ask for 200 cells of 40 images at most."
        for groups in (
            [self.asked(prediction, list(range(1, 102)))] * 2,
            [self.asked(prediction, list(range(1, 202)))],
            [self.asked(prediction, [1])] * 41,
        ):
            with self.subTest(len(groups)):
                answer = self.post("crops", {"cells": groups})
                self.assertEqual(answer.status_code, 400)
                self.assertIn(limit, answer.json()["message"])
        answer = self.post("crops", {"cells": [self.asked(prediction, [1])] * 40})
        self.assertEqual(answer.status_code, 200, answer.content)

    def test_of_a_huge_cell_no_more_is_read_than_its_picture_needs(self) -> None:
        array = np.full((2, 1100, 1400), 500, np.uint16)
        labels = np.zeros((1100, 1400), np.uint16)
        array[0, 30:1030, 100:1300] = 4000
        labels[30:1030, 100:1300] = 1
        prediction = make_prediction(make_image(self.dataset, array=array), self.version, labels)
        with mock.patch("annotator.services.crops.composite", wraps=composite) as drawn:
            (crop,) = self.crops(self.asked(prediction, [1])).values()
        self.assertLessEqual(max(drawn.call_args.args[0].shape[1:]), 512)
        self.assertEqual(crop["side"], 1920)
        picture = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(crop["picture"]))))
        # 1200 × 1000 of 1920 px, in the middle; it reaches beyond all edges of the image.
        bright = np.argwhere(picture[..., 1] > 128)
        np.testing.assert_allclose(bright.min(axis=0), [15.3, 12], atol=1.1)
        np.testing.assert_allclose(bright.max(axis=0), [48.7, 52], atol=1.6)
        corners = np.array(re.findall(r"(\d+) (\d+)", crop["outline"]), int)
        np.testing.assert_allclose(corners.min(axis=0), [24, 30.7], atol=1.5)
        np.testing.assert_allclose(corners.max(axis=0), [104, 97.3], atol=2)

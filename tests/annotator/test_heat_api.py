"""The heat picture over REST: what it shows, who sees it, when it is drawn anew."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

import numpy as np
from django.test import TestCase
from PIL import Image as Pillow

from annotator import storage
from annotator.exceptions import Unavailable
from annotator.models import PredictedCell, Prediction
from annotator.services.heats import heat_key
from annotator.services.images import image_delete
from tests.annotator.factories import (
    is_stored,
    make_dataset,
    make_image,
    make_prediction,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


def predict(image: Any, uncertainties: dict[int, float], **fields: Any) -> Prediction:
    """A prediction of squares (8 px, from the top left) with these uncertainties."""
    prediction = make_prediction(image, labels=square_labels(len(uncertainties)), **fields)
    PredictedCell.objects.bulk_create(
        PredictedCell(
            prediction=prediction,
            label=label,
            score=0.9,
            uncertainty=uncertainty,
            seen_by="both",
            bbox=[0, 0, 8, 8],
            area=64,
            centroid=[4, 4],
        )
        for label, uncertainty in uncertainties.items()
    )
    return prediction


class HeatApiTest(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.vera = client_of(self.people.vera)
        self.version = make_version(self.dataset)
        self.image = make_image(self.dataset)
        self.url = f"/api/v1/images/{self.image.pk}/heat/"

    def picture(self, answer: Any) -> np.ndarray:
        self.assertEqual((answer.status_code, answer["Content-Type"]), (200, "image/png"))
        return np.asarray(Pillow.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)

    def test_unsure_cells_are_bright_and_the_rest_is_clear(self) -> None:
        predict(self.image, {1: 0.05, 2: 0.95}, missed_at=[[50, 30, 1.0]])
        rgba = self.picture(self.vera.get(self.url))
        self.assertEqual(rgba.shape, (48, 64, 4))
        sure, unsure, background = rgba[4, 4], rgba[4, 14], rgba[45, 5]
        self.assertGreater(unsure[:3].sum(), sure[:3].sum() + 200)
        self.assertGreater(unsure[3], sure[3] + 100)
        self.assertEqual(background[3], 0)
        self.assertGreater(rgba[30, 50, 3], 200, "a missed cell is shown")

    def test_it_fits_over_the_thumbnail_of_a_large_image(self) -> None:
        large = make_image(self.dataset, array=np.ones((2, 300, 600), np.uint16))
        make_prediction(large, labels=square_labels(3, (300, 600)))
        heat = self.picture(self.vera.get(f"/api/v1/images/{large.pk}/heat/"))
        thumbnail = self.vera.get(f"/api/v1/images/{large.pk}/thumbnail/").content
        self.assertEqual(Pillow.open(io.BytesIO(thumbnail)).size, heat.shape[1::-1])

    def test_strangers_see_nothing_and_without_a_prediction_there_is_none(self) -> None:
        self.assertEqual(self.vera.get(self.url).status_code, 404)
        predict(self.image, {1: 0.5})
        self.assertEqual(self.vera.get(self.url).status_code, 200)
        for user in (self.people.charlie, None):
            self.assertIn(client_of(user).get(self.url).status_code, (401, 403, 404))
        self.assertEqual(client_of(self.people.charlie).get(self.url).status_code, 404)

    def test_it_is_drawn_once_and_anew_for_another_prediction(self) -> None:
        predict(self.image, {1: 0.1})
        first = self.vera.get(self.url)
        with mock.patch("annotator.services.heats.heat_levels") as drawing:
            again = self.vera.get(self.url)
        self.assertFalse(drawing.called)
        self.assertEqual(again.content, first.content)
        same = self.vera.get(self.url, headers={"If-None-Match": first["ETag"]})
        self.assertEqual((same.status_code, same.content), (304, b""))
        predict(self.image, {1: 0.9}, segmenter=make_version(self.dataset, stage="candidate"))
        newer = self.vera.get(self.url, headers={"If-None-Match": first["ETag"]})
        self.assertGreater(self.picture(newer)[4, 4, 3], self.picture(first)[4, 4, 3])

    def test_a_picture_that_cannot_be_kept_or_was_damaged_is_drawn_all_the_same(self) -> None:
        predict(self.image, {1: 0.9})
        storage.delete(heat_key(self.image.pk))  # other tests' image had the same id
        with mock.patch("annotator.services.heats.storage.put", side_effect=Unavailable("full")):
            drawn = self.vera.get(self.url)
        self.assertEqual(drawn.status_code, 200)
        self.assertFalse(is_stored(heat_key(self.image.pk)))
        storage.put(heat_key(self.image.pk), b"\x89PNG\r\n\x1a\nno picture")
        self.assertEqual(self.vera.get(self.url).content, drawn.content)

    def test_only_under_the_id_of_its_prediction_may_it_be_kept(self) -> None:
        prediction = predict(self.image, {1: 0.9})
        named = self.vera.get(f"{self.url}?prediction={prediction.pk}")
        self.assertIn("max-age", named["Cache-Control"])
        for query in ("", "?prediction=0", "?prediction=x"):
            self.assertIn("no-cache", self.vera.get(self.url + query)["Cache-Control"])

    def test_it_goes_with_its_image(self) -> None:
        predict(self.image, {1: 0.9})
        self.vera.get(self.url)
        key = heat_key(self.image.pk)
        self.assertTrue(is_stored(key))
        image_delete(image=self.image)
        self.assertFalse(is_stored(key))

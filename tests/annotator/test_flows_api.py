"""Masks at other thresholds and cells by a click, over REST, from stored flows."""

from __future__ import annotations

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np
from django.apps import apps
from django.test import TestCase

from annotator import storage
from annotator.models import Family, Fusion, Image
from annotator.services.flows import as_predicted, prediction_masks
from inference.flow_cache import pack
from inference.flows import masks_to_flows
from inference.fusion_rule import Curve, FusionRule
from inference.redecode import masks_of
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


class Flows(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = make_image(self.dataset, "mixed_b1_1.tif")
        self.labels = square_labels(6, size=12)
        logits = np.where(self.labels > 0, 3.0, -6.3).astype(np.float32)
        logits[self.labels == 6] = -1.0  # one the network was unsure of
        raw = pack(5 * masks_to_flows(self.labels), logits, 200)
        self.prediction = make_prediction(self.image, flows_key=storage.put("flows/test", raw))
        self.bob = client_of(self.people.bob)
        self.url = f"/api/v1/images/{self.image.pk}/prediction/"

    def masks(self, **thresholds: Any) -> np.ndarray:
        answer = self.bob.post(self.url + "masks/", thresholds, format="json")
        self.assertEqual(answer.status_code, 200, answer.content)
        self.assertEqual(answer["X-Prediction"], str(self.prediction.pk))
        raw = gzip.decompress(answer.content)
        return np.frombuffer(raw, answer["X-Dtype"]).reshape(48, 64)

    def test_a_lower_threshold_brings_the_unsure_cell(self) -> None:
        self.assertEqual(self.masks().max(), 5)
        self.assertEqual(self.masks(cellprob_threshold=-2).max(), 6)
        self.assertEqual(self.masks(min_size=10**5).max(), 0)

    def test_cells_that_other_thresholds_do_not_change_stay_as_fusion_left_them(self) -> None:
        fused = np.where(self.labels == 6, 0, self.labels)
        fused[fused == 2] = 0  # dropped: the detector does not see it
        wide = fused == 3
        fused[(np.roll(wide, 1, 0) | wide) & (self.labels == 0)] = 3  # with the detector's border
        top = np.argwhere(self.labels == 4)[:, 0].min()
        fused[: top + 8][fused[: top + 8] == 4] = 9  # the detector's two instead of one
        detector = make_version(self.dataset, Family.DETECTOR)
        self.prediction.detector = detector
        self.prediction.labels_key = storage.labels_put(fused)
        self.prediction.save()
        rule = FusionRule(borders="detector", segmenter=Curve(1, 0, 0, 0)).to_dict()
        fusion = Fusion.objects.create(
            segmenter=self.prediction.segmenter,
            detector=detector,
            rule=rule,
            images=1,
            split="test",
            figures={},
        )
        np.testing.assert_array_equal(self.masks(min_size=16) > 0, fused > 0)
        with (
            mock.patch("inference.redecode.masks_of", wraps=masks_of) as decoded,
            mock.patch.object(storage, "get", wraps=storage.get) as fetched,
        ):
            lower = self.masks(cellprob_threshold=-2)
        decoded.assert_called_once()  # what a prediction decodes is the same at each move
        fetched.assert_not_called()
        np.testing.assert_array_equal(lower > 0, (fused > 0) | (self.labels == 6))
        self.assertEqual(len(np.unique(lower)), 1 + 6)
        self.assertEqual(len(np.unique(lower[fused == 9])), 1)
        self.assertFalse(np.isin(lower[fused == 4], lower[fused == 9]).any())
        # A rule that only adds cells leaves the segmenter's own.
        Fusion.objects.filter(pk=fusion.pk).update(rule=FusionRule().to_dict())
        self.assertEqual(self.masks(min_size=16).max(), 5)

    def test_a_cell_in_the_place_of_a_piece_is_shown_with_other_thresholds_too(self) -> None:
        usual = np.zeros((20, 20), np.uint16)
        usual[5:10, 5:10] = 1
        usual[15:18, 15:18] = 2
        predicted = np.zeros_like(usual)
        predicted[5:15, 5:15] = 7  # the piece is a quarter of it
        shown = as_predicted(usual.copy(), usual, predicted)
        np.testing.assert_array_equal(shown > 0, predicted > 0)

    def test_a_rule_of_an_earlier_form_is_learnt_anew(self) -> None:
        detector = make_version(self.dataset, Family.DETECTOR)
        curve = {"slope": 1.0, "offset": 0.0}
        earlier = {"borders": "segmenter", "least": 0.5, "both": None, "segmenter": curve}
        for rule in (earlier, FusionRule().to_dict()):
            Fusion.objects.all().delete()
            Fusion.objects.create(
                segmenter=self.prediction.segmenter,
                detector=detector,
                rule=rule,
                images=1,
                split="test",
                figures={},
            )
            import_module("annotator.migrations.0008_rules_of_drawings").forget_earlier(apps, None)
            self.assertEqual(Fusion.objects.exists(), rule is not earlier)

    def test_one_decode_at_a_time_and_the_others_wait(self) -> None:
        inside, most = 0, 0

        def slow(*_: Any) -> np.ndarray:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.1)
            inside -= 1
            return self.labels

        def ask(_: int) -> np.ndarray:
            knobs = {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "min_size": 15}
            return prediction_masks(prediction=self.prediction, **knobs)  # type: ignore[arg-type]

        with (
            mock.patch("inference.redecode.masks_of", slow),
            ThreadPoolExecutor(4) as pool,
        ):
            self.assertEqual(len(list(pool.map(ask, range(4)))), 4)
        self.assertEqual(most, 1)

    def test_damaged_flows_are_told_with_what_to_do(self) -> None:
        self.prediction.flows_key = storage.put("flows/damaged", b"nonsense")
        self.prediction.save()
        answer = self.bob.post(self.url + "masks/", {}, format="json")
        self.assertEqual(answer.status_code, 503)
        self.assertIn("by hand", answer.json()["message"])

    def test_a_click_gives_the_pixels_of_that_cell_alone(self) -> None:
        rows, columns = np.nonzero(self.labels == 6)
        at = {"x": int(columns.mean()), "y": int(rows.mean())}
        answer = self.bob.post(self.url + "cell/", at, format="json")
        drawn = np.zeros(self.labels.shape, bool)
        for y, x0, x1 in answer.json()["spans"]:
            drawn[y, x0:x1] = True
        cell = self.labels == 6
        self.assertGreater((drawn & cell).sum() / (drawn | cell).sum(), 0.8)

    def test_where_nothing_flows_together_it_says_so(self) -> None:
        answer = self.bob.post(self.url + "cell/", {"x": 63, "y": 47}, format="json")
        self.assertEqual(answer.status_code, 404)
        self.assertIn("no cell there", answer.json()["message"])

    def test_bad_thresholds_strangers_and_predictions_without_flows(self) -> None:
        url = self.url + "masks/"
        self.assertEqual(
            self.bob.post(url, {"cellprob_threshold": 99}, format="json").status_code, 400
        )
        charlie = client_of(self.people.charlie)
        self.assertEqual(charlie.post(url, {}, format="json").status_code, 404)
        vera = client_of(self.people.vera)
        self.assertEqual(vera.post(url, {}, format="json").status_code, 403)
        self.assertEqual(
            vera.post(self.url + "cell/", {"x": 1, "y": 1}, format="json").status_code, 403
        )
        self.prediction.flows_key = ""
        self.prediction.save()
        answer = self.bob.post(url, {}, format="json")
        self.assertEqual(answer.status_code, 404)
        self.assertIn("next prediction", answer.json()["message"])
        Image.objects.filter(pk=self.image.pk).update(width=20_000, height=20_000)
        answer = self.bob.post(self.url + "cell/", {"x": 1, "y": 1}, format="json")
        self.assertIn("too large", answer.json()["message"])

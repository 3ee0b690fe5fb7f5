"""A model pair on one image: whole, consistent answers, with a detector or without."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from inference import checkpoint, embeddings
from inference.checkpoint import ModelMeta
from inference.doubt import MASK, TYPE
from inference.errors import InferenceError
from inference.labels import cell_geometry
from inference.predictor import Predictor, load_predictor
from inference.segmenter import Segmenter, build_net
from tests.inference.test_detector_inference import tiny_detector
from training.synthetic import draw_image

NET = {"name": "cpnet", "nbase": [2, 4, 8, 8, 8]}
CHANNELS = ("cytoplasm", "nucleus")


def tiny_segmenter():
    """An untrained segmenter that calls some pixels cells."""
    torch.manual_seed(0)
    meta = ModelMeta("segmenter", NET, CHANNELS, fixed_diameter=20.0)
    return Segmenter(build_net(NET).state_dict(), meta, "cpu")


class PredictorTests(unittest.TestCase):
    def test_each_cell_is_described_as_it_lies_in_the_label_image(self):
        image = draw_image("mixed", (96, 112), 3).image
        predicted = Predictor(tiny_segmenter(), tiny_detector()).predict(image)
        geometry = cell_geometry(predicted.labels)
        self.assertEqual([c.label for c in predicted.cells], geometry.labels.tolist())
        for row, cell in enumerate(predicted.cells):
            self.assertEqual(cell.bbox, tuple(geometry.boxes[row]))
            self.assertEqual(cell.area, geometry.areas[row])
            self.assertEqual(set(cell.terms), {*MASK, *TYPE})
            self.assertEqual(embeddings.unpack(cell.embedding).shape, (embeddings.SIZE,))
            for value in (cell.score, cell.uncertainty, *cell.terms.values()):
                self.assertTrue(0 <= value <= 1)
            self.assertEqual(set(cell.probabilities), {"HEK", "N2a"})
            self.assertEqual(
                cell.type, max(cell.probabilities, key=lambda name: cell.probabilities[name])
            )
        self.assertTrue(0 <= predicted.uncertainty <= 1)
        self.assertGreater(predicted.seconds, 0)
        self.assertEqual(embeddings.unpack(predicted.style).shape, (8,))

    def test_a_known_type_is_not_in_doubt(self):
        image = draw_image("HEK", (96, 112), 3).image
        pair = Predictor(tiny_segmenter(), tiny_detector())
        asked, known = (pair.predict(image, type_known=known) for known in (False, True))
        self.assertGreater(len(asked.cells), 0)
        for doubted, sure in zip(asked.cells, known.cells, strict=True):
            self.assertEqual((doubted.type, doubted.score), (sure.type, sure.score))
            self.assertGreater(doubted.terms["margin"], 0)
            self.assertEqual([sure.terms[name] for name in TYPE], [0.0, 0.0, 0.0])
            self.assertGreaterEqual(doubted.uncertainty, sure.uncertainty)
        self.assertLess(known.uncertainty, asked.uncertainty)

    def test_cells_of_alike_windows_have_near_vectors_with_and_without_types(self):
        image = draw_image("mixed", (96, 112), 3).image
        for detector in (tiny_detector(), None):
            first, again = (Predictor(tiny_segmenter(), detector).predict(image) for _ in range(2))
            a, b = (
                embeddings.unpack_many([cell.embedding for cell in seen.cells])
                for seen in (first, again)
            )
            np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, atol=0.01)
            np.testing.assert_allclose(a, b, atol=0.01)

    def test_without_a_detector_cells_have_no_type(self):
        image = draw_image("HEK", (96, 112), 3).image
        predicted = Predictor(tiny_segmenter(), None).predict(image)
        for cell in predicted.cells:
            self.assertIsNone(cell.type)
            self.assertEqual(cell.probabilities, {})
            self.assertEqual(cell.seen_by, "segmenter")

    def test_a_black_image_is_predicted_and_nobody_is_certain_of_it(self):
        predicted = Predictor(tiny_segmenter(), tiny_detector()).predict(
            np.zeros((2, 40, 50), np.uint8)
        )
        self.assertEqual(predicted.labels.shape, (40, 50))
        self.assertEqual(len(predicted.cells), predicted.labels.max())
        if not predicted.cells:
            self.assertEqual(predicted.reasons[0]["code"], "empty")

    def test_models_of_different_channels_are_no_pair(self):
        with self.assertRaisesRegex(InferenceError, "cannot judge the same image"):
            Predictor(tiny_segmenter(), tiny_detector(channels=("nucleus",)))

    def test_a_pair_is_loaded_once(self):
        with tempfile.TemporaryDirectory() as folder:
            segmenter, detector = Path(folder) / "s", Path(folder) / "d"
            meta = ModelMeta("segmenter", NET, CHANNELS)
            checkpoint.save(segmenter, build_net(NET).state_dict(), meta)
            tiny = tiny_detector()
            checkpoint.save(detector, tiny.network.state_dict(), tiny.meta)
            pair = load_predictor(segmenter, detector)
            self.assertIs(load_predictor(segmenter, detector), pair)
            self.assertIsNot(load_predictor(segmenter, None), pair)

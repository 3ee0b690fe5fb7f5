"""Outlines from the pixels alone, around a point."""

from __future__ import annotations

import unittest

import numpy as np

from inference.grown import Grown, grown_cell
from inference.labels import median_diameter
from training.synthetic import SyntheticImage, draw_image
from training.synthetic_hard import draw_hard


def iou(drawn: SyntheticImage, label: int, grown: Grown) -> float:
    mask = np.zeros(drawn.labels.shape, bool)
    height, width = grown.mask.shape
    mask[grown.y0 : grown.y0 + height, grown.x0 : grown.x0 + width] = grown.mask
    true = drawn.labels == label
    return float((mask & true).sum() / (mask | true).sum())


class GrownTests(unittest.TestCase):
    def test_most_outlines_are_those_of_the_cells(self):
        for drawn in (draw_image("N2a", seed=3), draw_hard("inverted", "N2a", seed=3)):
            diameter, found = median_diameter(drawn.labels), []
            for label in range(1, int(drawn.labels.max()) + 1):
                rows, columns = np.nonzero(drawn.labels == label)
                others = np.where(drawn.labels == label, 0, drawn.labels)
                at = float(columns.mean()), float(rows.mean())
                if others[int(at[1]), int(at[0])]:
                    continue
                grown = grown_cell(drawn.image, others, at, diameter)
                assert grown is not None
                found.append(iou(drawn, label, grown))
            self.assertGreater(np.mean(np.array(found) > 0.5), 0.85)

    def test_never_a_pixel_of_another_cell(self):
        image = np.full((1, 40, 40), 10, np.uint16)
        image[0, 10:30, 5:35] = 200
        labels = np.zeros((40, 40), np.uint16)
        labels[10:30, 5:18] = 7
        grown = grown_cell(image, labels, (26.0, 20.0), 18.0)
        assert grown is not None
        self.assertGreaterEqual(grown.x0, 18)
        self.assertGreater(grown.mask.sum(), 200)

    def test_a_disc_where_nothing_is_to_be_seen_and_none_where_no_room_is(self):
        flat = np.full((2, 30, 30), 5, np.uint8)
        grown = grown_cell(flat, np.zeros((30, 30), np.uint16), (15.0, 15.0), 10.0)
        assert grown is not None
        self.assertAlmostEqual(int(grown.mask.sum()), np.pi * 4.5**2, delta=15)
        self.assertIsNone(grown_cell(flat, np.ones((30, 30), np.uint16), (15.0, 15.0), 10.0))

    def test_a_corner_and_an_image_of_a_pixel(self):
        image = np.zeros((1, 20, 20), np.float32)
        image[0, :6, :6] = 1.0
        grown = grown_cell(image, np.zeros((20, 20), np.uint16), (0.0, 0.0), 8.0)
        assert grown is not None
        self.assertEqual((grown.x0, grown.y0), (0, 0))
        self.assertIsNotNone(
            grown_cell(np.ones((1, 1, 1)), np.zeros((1, 1), np.uint16), (0, 0), 8.0)
        )

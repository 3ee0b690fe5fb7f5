"""Outlines that a browser draws, against the masks they are of."""

from __future__ import annotations

import re
import unittest

import cv2
import numpy as np

from inference.outlines import SIDE, outline


def filled(path: str) -> np.ndarray:
    """What a browser would fill, in units of the path."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    for part in path.split("Z"):
        points = [[int(x), int(y)] for x, y in re.findall(r"(\d+) (\d+)", part)]
        if points:
            cv2.fillPoly(image, [np.array(points)], 1)
    return image > 0


class Outlines(unittest.TestCase):
    def assert_like(self, mask: np.ndarray, least: float) -> None:
        size = (SIDE, SIDE)
        large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        drawn = filled(outline(mask))
        self.assertGreater((drawn & large).sum() / (drawn | large).sum(), least)

    def test_it_follows_the_mask_at_any_size(self) -> None:
        for side in (24, 64, 300):
            y, x = np.mgrid[:side, :side] - side / 2
            self.assert_like((x / 1.5) ** 2 + y**2 <= (0.25 * side) ** 2, 0.93)

    def test_pieces_and_an_edge_are_drawn(self) -> None:
        mask = np.zeros((32, 32), bool)
        mask[:10, :10] = mask[20:30, 20:30] = True
        self.assertEqual(outline(mask).count("M"), 2)
        self.assert_like(mask, 0.9)

    def test_nothing_has_no_outline(self) -> None:
        self.assertEqual(outline(np.zeros((24, 24), bool)), "")


if __name__ == "__main__":
    unittest.main()

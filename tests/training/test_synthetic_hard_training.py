"""The drawn hard cases."""

from __future__ import annotations

import unittest

import numpy as np

from training.synthetic import draw_image
from training.synthetic_hard import HARD, draw_hard


class HardTests(unittest.TestCase):
    def test_they_show_the_same_cells_otherwise(self):
        usual = draw_image("mixed", (96, 96), 4)
        for hard in HARD:
            drawn = draw_hard(hard, "mixed", (96, 96), 4)
            np.testing.assert_array_equal(drawn.labels, usual.labels)
            self.assertEqual(drawn.types, usual.types)
            self.assertEqual((drawn.image.shape, drawn.image.dtype), (usual.image.shape, np.uint16))
            self.assertGreater(np.abs(drawn.image.astype(int) - usual.image).mean(), 50)

    def test_a_seed_draws_the_same_again(self):
        for hard in HARD:
            one, again, other = (draw_hard(hard, "HEK", (64, 64), (s, 1)) for s in (1, 1, 2))
            np.testing.assert_array_equal(one.image, again.image)
            self.assertFalse(np.array_equal(one.image, other.image))

    def test_each_is_what_it_is_called(self):
        labels = draw_image("mixed", (128, 128), 4).labels
        inverted = draw_hard("inverted", "mixed", (128, 128), 4).image[0]
        self.assertLess(inverted[labels > 0].mean(), inverted[labels == 0].mean())
        membrane = draw_hard("membrane", "mixed", (128, 128), 4).image
        self.assertGreater(membrane[0].std(), 2 * membrane[1].std())
        self.assertLess(draw_hard("dim", "mixed", (128, 128), 4).image.max(), 5000)

    def test_an_unknown_one_is_refused(self):
        with self.assertRaisesRegex(ValueError, "no hard case 'odd'"):
            draw_hard("odd", "HEK")

"""The heat picture: levels of cells and of places with missed cells, and their colours."""

from __future__ import annotations

from unittest import TestCase

import numpy as np

from inference.heat import RIM, heat_levels, palette


def lightness(colour: np.ndarray) -> float:
    """CIE L* of an sRGB colour (3,), 0 … 100."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


class Levels(TestCase):
    def test_the_less_sure_the_higher_and_background_is_clear(self) -> None:
        labels = np.array([[0, 1, 1], [2, 2, 3]], np.uint16)
        levels = heat_levels(labels, {1: 0.0, 2: 0.5, 3: 1.0})
        self.assertEqual(levels.tolist(), [[0, 1, 1], [127, 127, 254]])

    def test_a_large_image_is_shrunk_like_its_thumbnail_and_shows_the_least_sure_cell(self) -> None:
        labels = np.zeros((300, 513), np.uint32)
        labels[:, :1], labels[150, 512] = 1, 70_000
        levels = heat_levels(labels, {1: 0.2, 70_000: 0.9})
        self.assertEqual(levels.shape, (100, 171))  # every third pixel, as the thumbnail has
        self.assertEqual(levels[50, 170], 1 + round(253 * 0.9))
        self.assertEqual(np.count_nonzero(levels[:, 1:170]), 0)

    def test_cells_without_an_opinion_and_opinions_without_a_cell_are_left_out(self) -> None:
        levels = heat_levels(np.array([[1, 2]], np.uint16), {2: 0.4, 9: 1.0, 0: 1.0})
        self.assertEqual(np.flatnonzero(levels).tolist(), [1])

    def test_what_is_no_number_counts_as_unsure_and_shares_end_at_one(self) -> None:
        levels = heat_levels(np.array([[1, 2, 3]], np.uint16), {1: float("nan"), 2: 7.0, 3: -1.0})
        self.assertEqual(levels.tolist(), [[254, 254, 1]])

    def test_missed_cells_are_discs_with_a_rim_also_at_the_edge(self) -> None:
        levels = heat_levels(np.zeros((64, 64), np.uint16), {}, [[32, 32, 1.0], [0, 63, 0.4]], 20)
        self.assertEqual(levels[32, 32], 254)
        self.assertEqual(levels[32, 22], RIM)
        self.assertEqual(levels[32, 43], 0)
        self.assertEqual(levels[63, 0], 1 + round(253 * 0.4))
        outside = heat_levels(np.zeros((64, 64), np.uint16), {}, [[500, 500, 1.0], [-50, 3, 1]], 20)
        self.assertEqual(np.count_nonzero(outside), 0)

    def test_an_image_without_cells_and_one_of_a_pixel_are_pictures_too(self) -> None:
        self.assertEqual(heat_levels(np.zeros((5, 7), np.uint16), {}).sum(), 0)
        self.assertEqual(heat_levels(np.ones((1, 1), np.uint16), {1: 1.0}).tolist(), [[254]])


class Colours(TestCase):
    def test_lightness_rises_evenly_so_that_hue_is_not_needed(self) -> None:
        colours = palette()[1:255, :3] / 255
        steps = np.diff([lightness(colour) for colour in colours[::23]])
        self.assertGreater(steps.min(), 0)
        self.assertLess(steps.max(), 2 * steps.min())

    def test_what_is_sure_lets_the_image_through(self) -> None:
        alpha = palette()[:, 3].astype(int)
        self.assertEqual(alpha[0], 0)
        self.assertLess(alpha[1], 40)
        self.assertGreater(alpha[254], 220)
        self.assertTrue((np.diff(alpha[:255]) >= 0).all())

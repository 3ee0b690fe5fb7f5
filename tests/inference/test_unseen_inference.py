"""Places that look like cells in the pixels themselves and that no mask shows."""

from __future__ import annotations

import unittest
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import median_diameter
from inference.normalize import normalize
from inference.unseen import Peak, peaks, suspected, unseen_cells
from training.synthetic import SyntheticImage, draw_image
from training.synthetic_hard import draw_hard

USUAL = draw_image("mixed", seed=3)
INVERTED = draw_hard("inverted", "mixed", seed=3)
DIM = draw_hard("dim", "mixed", seed=3)


def places(drawn: SyntheticImage, shown: NDArray[Any], **kw: Any) -> list[tuple[float, ...]]:
    planes = normalize(drawn.image)
    return list(unseen_cells(planes, shown, median_diameter(drawn.labels), **kw))


def under(drawn: SyntheticImage, spots: list[tuple[float, ...]]) -> list[int]:
    return [int(drawn.labels[int(y), int(x)]) for x, y, _ in spots]


class UnseenCellsTests(unittest.TestCase):
    def test_finds_most_cells_of_images_in_which_a_model_is_blind(self):
        for name, drawn in (("usual", USUAL), ("dim", DIM), ("inverted", INVERTED)):
            with self.subTest(name):
                cells = int(drawn.labels.max())
                found = under(drawn, places(drawn, np.zeros_like(drawn.labels)))
                self.assertGreater(len(set(found) - {0}), 0.6 * cells)
                self.assertGreater(np.mean(np.array(found) > 0), 0.85)

    def test_finds_the_cells_that_are_left_out_and_no_others(self):
        left_out = [2, 9]
        shown = np.where(np.isin(USUAL.labels, left_out), 0, USUAL.labels)
        self.assertEqual(sorted(under(USUAL, places(USUAL, shown))), left_out)

    def test_says_nothing_where_every_cell_is_shown(self):
        self.assertEqual(places(USUAL, USUAL.labels), [])

    def test_one_cell_left_out_is_suspected_less_than_all(self):
        one = places(USUAL, np.where(USUAL.labels == 2, 0, USUAL.labels))
        every = places(USUAL, np.zeros_like(USUAL.labels))
        self.assertLess(one[0][2], 0.3)
        self.assertEqual(every[0][2], 1.0)

    def test_leaves_out_what_was_told_already(self):
        shown = np.where(USUAL.labels == 2, 0, USUAL.labels)
        self.assertEqual(places(USUAL, shown, told=places(USUAL, shown)), [])

    def test_dust_in_an_empty_part_of_a_good_image_is_hardly_suspected(self):
        planes = normalize(USUAL.image)
        good = peaks(planes, USUAL.labels, median_diameter(USUAL.labels))
        dust = [Peak(900.0 + n, 5.0, 0.03, False, False) for n in range(9)]
        self.assertEqual(suspected([*good, *dust]), [])
        high = [replace(each, height=good[0].height) for each in dust[:1]]
        [(_, _, cells)] = suspected([*good, *high])
        self.assertLess(cells, 0.3)

    def test_one_place_for_several_cells_is_not_told_again(self):
        every = places(USUAL, np.zeros_like(USUAL.labels))
        middles = np.array(every)[:, :2]
        apart = np.linalg.norm(middles[:, None] - middles, axis=2)
        apart[np.diag_indices(len(apart))] = np.inf
        pair = np.unravel_index(apart.argmin(), apart.shape)
        x, y = middles[list(pair)].mean(axis=0)
        left = places(USUAL, np.zeros_like(USUAL.labels), told=[(x, y, 8.0)])
        gone = set(every) - set(left)
        self.assertLessEqual({every[n] for n in pair}, gone)
        self.assertLess(len(gone), 8)

    def test_a_large_image_is_told_in_its_own_pixels(self):
        shown = np.where(USUAL.labels == 2, 0, USUAL.labels)
        [(x, y, _)] = places(USUAL, shown)
        planes = np.repeat(np.repeat(normalize(USUAL.image), 3, 1), 3, 2)
        larger = np.repeat(np.repeat(shown, 3, 0), 3, 1)
        [(x3, y3, _)] = unseen_cells(planes, larger, 3 * median_diameter(USUAL.labels))
        self.assertLess(np.hypot(x3 - 3 * x, y3 - 3 * y), 12)

    def test_noise_and_nothing_are_no_cells(self):
        rng = np.random.default_rng(0)
        noise = normalize(rng.normal(500, 30, (2, 200, 300)).clip(0).astype(np.uint16))
        nothing = np.zeros((2, 40, 50), np.float32)
        self.assertEqual(unseen_cells(noise, np.zeros((200, 300), np.uint16), 20.0), [])
        self.assertEqual(unseen_cells(nothing, np.zeros((40, 50), np.uint16), 20.0), [])
        for shape in ((1, 1, 1), (2, 3, 500), (1, 500, 2)):
            with self.subTest(shape=shape):
                planes = rng.random(shape, np.float32)
                unseen_cells(planes, np.zeros(shape[1:], np.uint16), 15.0)

"""Tiles cover every pixel, and blending leaves what a position-independent network says."""

from __future__ import annotations

import itertools
import unittest

import numpy as np
from cellpose import transforms

from inference import tiling as under_test

SHAPES = ((1, 1), (5, 300), (224, 224), (209, 500), (640, 333))


def constant_style(tiles):
    return np.ones((len(tiles), 4), np.float32)


class TilingTest(unittest.TestCase):
    def test_padding_and_tiles_are_cellposes(self):
        for height, width in SHAPES:
            theirs = transforms.get_pad_yx(height, width)
            ours = (*under_test.padding(height), *under_test.padding(width))
            self.assertEqual(ours, tuple(theirs))
            padded = np.zeros((2, height + sum(ours[:2]), width + sum(ours[2:])))
            _, rows, columns, _, _ = transforms.make_tiles(padded)
            tiles = under_test.plan(padded.shape[1], padded.shape[2])
            expected = [(int(r[0]), int(c[0])) for r, c in zip(rows, columns, strict=True)]
            self.assertEqual(tiles.corners(), expected)
            np.testing.assert_allclose(
                under_test.taper(tiles.height, tiles.width),
                transforms._taper_mask(tiles.height, tiles.width),
                rtol=1e-9,
            )

    def test_a_pixelwise_network_gives_the_same_tiled_or_not(self):
        rng = np.random.default_rng(0)
        for (height, width), widest in itertools.product(
            (*SHAPES, (30, 2100), (5, 700)), (None, 320, 1280)
        ):
            planes = rng.random((2, height, width), dtype=np.float32)
            outputs, style = under_test.run_tiled(
                planes,
                lambda t: (np.concatenate([t, t[:, :1] * 2], axis=1), constant_style(t)),
                widest=widest,
            )
            np.testing.assert_allclose(outputs[:2], planes, atol=1e-6)
            np.testing.assert_allclose(outputs[2], planes[0] * 2, atol=1e-6)
            np.testing.assert_allclose(style, np.full(4, 0.5), rtol=1e-6)

    def test_no_batch_exceeds_its_size(self):
        sizes = []

        def forward(tiles):
            sizes.append(len(tiles))
            return tiles, constant_style(tiles)

        under_test.run_tiled(np.zeros((2, 700, 700), np.float32), forward)
        self.assertEqual((max(sizes), sum(sizes)), (8, 16))

    def test_wide_tiles_are_few_alike_and_whole_steps_of_the_network(self):
        for length, widest in itertools.product((16, 1024, 1288, 2064, 5008, 20016), (640, 1280)):
            tiles = under_test.plan_wide(length, 16, widest)
            self.assertLessEqual(tiles.height, widest)
            self.assertEqual(tiles.height % under_test.STEP, 0)
            starts = (*tiles.rows, tiles.rows[-1] + tiles.height)
            self.assertEqual((starts[0], starts[-1]), (0, length))
            laps = [a + tiles.height - b for a, b in itertools.pairwise(tiles.rows)]
            self.assertGreaterEqual(min(laps, default=64), 48)
            self.assertLessEqual(len(tiles.rows), 1 + length // (widest - 64))

"""Crops of images of which single cells are known show several of them at once."""

from __future__ import annotations

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from inference.rectangles import rectangles
from tests.training.snapshots import disks, write_snapshot
from training.config import TrainConfig
from training.dataset import open_snapshot
from training.packing import is_sparse, packed
from training.segmenter_learner import SegmenterLearner
from training.transforms import random_crop

DIAMETER = 18.0  # px at the network's scale, and of the drawn cells
ZOOM = 1.0


def field() -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of nine fields of cells side by side, the labels of the middle one."""
    pixels, labels = disks(0)
    apart = np.zeros((9, *labels.shape), labels.dtype)
    apart[:] = labels + np.where(labels > 0, 1000 * np.arange(9)[:, None, None], 0)
    apart[[0, 4]] = apart[[4, 0]]
    rows = [np.concatenate(list(apart[start : start + 3]), axis=1) for start in (0, 3, 6)]
    return np.tile(pixels, (1, 3, 3)), np.concatenate(rows)


class Packing(unittest.TestCase):
    def setUp(self) -> None:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def learner(self, known: np.ndarray | None) -> SegmenterLearner:
        """Of an image of which ``known`` (h, w) is complete, None: all of it."""
        pixels, labels = field()
        entry: dict[str, Any] = {"pixels": pixels, "labels": labels}
        if known is not None:
            entry["complete_regions"] = rectangles(known, labels.size)
        name = str(len(list(self.folder.iterdir())))
        folder = write_snapshot(self.folder / name, [entry, dict(entry)], family="segmenter")
        config = TrainConfig.for_family(
            "segmenter",
            {
                "width": 4,
                "crop": 96,
                "batch_size": 4,
                "crops_per_epoch": 40,
                "holdout": 0.0,
                "diameter": DIAMETER,
                "precision": "float32",
            },
        )
        cpu = torch.device("cpu")
        return SegmenterLearner(config, open_snapshot(folder), folder / "run", None, cpu)

    def told(self, *cells: int) -> np.ndarray:
        return np.isin(field()[1], cells)

    def test_a_batch_shows_several_times_what_one_view_of_a_cell_shows(self) -> None:
        learner = self.learner(self.told(6))
        (sample, _) = learner.samples
        rng = np.random.default_rng(0)
        zoom = DIAMETER / sample.diameter
        single = [random_crop(sample, zoom, 96, rng).weight.mean() for _ in range(20)]
        shown = [float(batch.weight.mean()) for batch in learner.batches(1)]
        self.assertGreater(np.mean(shown), 2.5 * np.mean(single))

    def test_what_is_known_in_a_packed_crop_is_the_cell_with_its_flows(self) -> None:
        learner = self.learner(self.told(6, 7))
        crop = packed(learner.samples[0], ZOOM, 90, np.random.default_rng(1))
        known, whole = crop.weight > 0, 0
        self.assertEqual(set(np.unique(crop.labels[known])) - {0}, {6, 7})
        # Nothing else is known, but for a rim where the turned picture is resampled.
        self.assertGreater(crop.inside[known].mean(), 0.9)
        drawn = np.where(known, crop.labels, 0)
        flows = crop.flows * (drawn > 0)
        length = np.hypot(*flows)[drawn > 0]
        self.assertGreater(np.median(length), 0.9)
        # In each piece they lead to the middle of a cell that is there as a whole.
        for y, x in ((0, 0), (0, 45), (45, 0), (45, 45)):
            part = drawn[y : y + 45, x : x + 45]
            for cell in set(np.unique(part)) - {0}:
                ys, xs = np.nonzero(part == cell)
                if min(ys.min(), xs.min()) > 0 and max(ys.max(), xs.max()) < 44:
                    away = np.stack([ys - ys.mean(), xs - xs.mean()])
                    led = (flows[:, y : y + 45, x : x + 45][:, ys, xs] * away).sum(axis=0)
                    self.assertLess(np.median(led), -1.0)
                    whole += 1
        self.assertGreater(whole, 0)
        for field in (crop.planes, crop.flows, crop.inside, crop.weight, crop.labels):
            self.assertEqual(field.shape[-2:], (90, 90))

    def test_several_cells_of_the_image_are_in_one_crop(self) -> None:
        learner = self.learner(self.told(1, 6, 12))
        rng = np.random.default_rng(2)
        many = 0
        for _ in range(10):
            crop = packed(learner.samples[0], ZOOM, 96, rng)
            many += np.unique(crop.labels[(crop.weight > 0) & (crop.labels > 0)]).size >= 2
        self.assertGreaterEqual(many, 5)

    def test_a_crop_hardly_larger_than_a_piece_is_one_view(self) -> None:
        (sample, _) = self.learner(self.told(6)).samples
        one, other = (np.random.default_rng(3) for _ in range(2))
        whole = packed(sample, ZOOM, 48, one)
        np.testing.assert_array_equal(whole.planes, random_crop(sample, ZOOM, 48, other).planes)

    def test_however_small_the_cells_a_crop_has_a_limited_number_of_pieces(self) -> None:
        (sample, _) = self.learner(self.told(6)).samples
        with mock.patch("training.packing.random_crop", side_effect=random_crop) as cutting:
            crop = packed(replace(sample, diameter=0.5), ZOOM, 90, np.random.default_rng(6))
        self.assertEqual(cutting.call_count, 64)
        self.assertEqual(crop.labels.shape, (90, 90))

    def test_regions_are_looked_at_as_far_as_they_lie_inside_the_image(self) -> None:
        (sample, _) = self.learner(self.told(6)).samples
        height, width = sample.shape
        outside, corner = (width, height, 9 * width, 9 * height), (-900, -900, 40, 30)
        sample = replace(sample, regions=(outside, corner))
        rng = np.random.default_rng(7)
        self.assertEqual({sample.area(rng) for _ in range(20)}, {(0, 0, 40, 30)})

    def test_an_image_that_is_known_as_a_whole_is_shown_as_it_is(self) -> None:
        whole = self.learner(None).samples[0]
        half = np.zeros(field()[1].shape, bool)
        half[:, :80] = True
        window = self.learner(half).samples[0]
        rng = np.random.default_rng(4)
        for _ in range(20):
            self.assertFalse(is_sparse(random_crop(whole, ZOOM, 64, rng)))
            self.assertFalse(is_sparse(random_crop(window, ZOOM, 64, rng)))
        single = self.learner(self.told(6)).samples[0]
        self.assertTrue(is_sparse(random_crop(single, ZOOM, 96, rng)))
        for known, calls in ((None, 0), (self.told(6), 40)):
            with mock.patch("training.segmenter_learner.packed", side_effect=packed) as packing:
                list(self.learner(known).batches(1))
            self.assertEqual(packing.call_count, calls)

    def test_what_lies_beyond_the_image_is_nothing_that_is_known_of_it(self) -> None:
        labels = field()[1]
        corner = int(labels[labels > 0][0])
        sample = self.learner(self.told(corner)).samples[0]
        rng = np.random.default_rng(5)
        crops = [random_crop(sample, ZOOM, 200, rng) for _ in range(10)]
        self.assertTrue(all(is_sparse(crop) for crop in crops))
        self.assertGreater(np.mean([crop.weight.mean() for crop in crops]), 0.25)


if __name__ == "__main__":
    unittest.main()

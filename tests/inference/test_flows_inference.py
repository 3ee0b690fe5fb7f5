"""Masks ↔ flows, measured against cellpose itself on drawn cells."""

from __future__ import annotations

import unittest
import warnings

import numpy as np
from cellpose import dynamics
from scipy import ndimage

from inference import flows as under_test
from inference.flows import DecodeSettings


def blobs(seed: int, shape: tuple[int, int] = (120, 150), spacing: int = 18) -> np.ndarray:
    """A label image of irregular, partly touching cells, some cut by the border."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, np.int32)
    for label, at in enumerate(rng.permutation(seeds.size)[: seeds.size // spacing**2], 1):
        seeds.flat[at] = label
    nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    reach = spacing * (0.5 + 0.2 * ndimage.gaussian_filter(rng.standard_normal(shape), 4) * 10)
    labels = np.where(nearest[0] < reach, seeds[tuple(nearest[1])], 0)
    labels[labels == 1] = 0
    return labels


def network_like(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Flows and logits such as a decent network would give."""
    rng = np.random.default_rng(seed)
    flows = 5 * under_test.masks_to_flows(labels)
    flows += rng.normal(0, 0.7, flows.shape).astype(np.float32)
    cellprob = np.where(labels > 0, 3, -3) + rng.normal(0, 1.5, labels.shape)
    return flows, cellprob.astype(np.float32)


class TargetsTest(unittest.TestCase):
    def test_targets_equal_cellposes(self):
        for seed in range(4):
            labels = blobs(seed)
            ours = under_test.masks_to_flows(labels)
            theirs = dynamics.masks_to_flows(labels)
            # At a cell's very centre opposite heats cancel to rounding noise, scaled to one.
            same = np.abs(ours - theirs).max(axis=0) < 1e-4
            self.assertGreater(same.mean(), 0.998)

    def test_vectors_have_length_one_inside_and_zero_outside(self):
        labels = blobs(1)
        length = np.hypot(*under_test.masks_to_flows(labels))
        self.assertTrue((length[labels == 0] == 0).all())
        self.assertGreater((length[labels > 0] > 0.999).mean(), 0.99)

    def test_vectors_of_a_disk_point_to_its_centre(self):
        y, x = np.mgrid[:41, :41]
        disk = ((y - 20) ** 2 + (x - 20) ** 2 <= 15**2).astype(np.uint16)
        dy, dx = under_test.masks_to_flows(disk)
        self.assertGreater(dy[8, 20], 0.99)
        self.assertLess(dx[20, 32], -0.99)

    def test_an_image_without_cells_has_no_flow(self):
        self.assertFalse(under_test.masks_to_flows(np.zeros((9, 7), np.uint16)).any())


class DecodeTest(unittest.TestCase):
    def test_perfect_flows_give_the_cells_back(self):
        labels = blobs(2)
        flows = 5 * under_test.masks_to_flows(labels)
        cellprob = np.where(labels > 0, 5, -5).astype(np.float32)
        again = under_test.decode(flows, cellprob, DecodeSettings(min_size=0))
        large = np.bincount(labels.ravel())[1:] > 60
        self.assertGreaterEqual(again.max(), large.sum())
        self.assertGreater(((again > 0) == (labels > 0)).mean(), 0.98)

    def test_masks_equal_cellposes_pixel_by_pixel(self):
        for seed, settings in enumerate(
            (
                DecodeSettings(),
                DecodeSettings(flow_threshold=0.2, niter=120),
                DecodeSettings(flow_threshold=0.0, cellprob_threshold=-1.0, min_size=40),
            )
        ):
            flows, cellprob = network_like(blobs(seed), seed)
            ours = under_test.decode(flows, cellprob, settings)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = dynamics.resize_and_compute_masks(
                    flows,
                    cellprob,
                    niter=settings.niter,
                    cellprob_threshold=settings.cellprob_threshold,
                    flow_threshold=settings.flow_threshold,
                    min_size=settings.min_size,
                )
            self.assertGreater(ours.max(), 5)
            np.testing.assert_array_equal(ours, theirs)

    def test_masks_against_the_flow_are_removed(self):
        labels = blobs(3)
        flows = 5 * under_test.masks_to_flows(labels)
        cellprob = np.where(labels > 0, 5, -5).astype(np.float32)
        straight = np.stack([np.full(labels.shape, 2.0), np.zeros(labels.shape)])
        kept = under_test.decode(flows, cellprob, DecodeSettings())
        none = under_test.decode(straight.astype(np.float32), cellprob, DecodeSettings())
        self.assertGreater(kept.max(), 5)
        self.assertEqual(none.max(), 0)

    def test_nothing_above_the_threshold_is_no_cell(self):
        flows = np.zeros((2, 12, 12), np.float32)
        labels = under_test.decode(flows, np.full((12, 12), -1, np.float32), DecodeSettings())
        self.assertEqual((labels.shape, labels.max(), labels.dtype), ((12, 12), 0, np.uint16))


class FillTest(unittest.TestCase):
    def test_holes_are_filled_and_small_cells_dropped(self):
        labels = np.zeros((30, 30), np.int32)
        labels[2:12, 2:12] = 4
        labels[5:8, 5:8] = 0
        labels[20:22, 20:22] = 9
        filled = under_test.fill_and_filter(labels, min_size=15)
        self.assertEqual(filled.max(), 1)
        self.assertEqual(int((filled == 1).sum()), 100)

    def test_a_gap_open_to_the_outside_is_no_hole(self):
        labels = np.zeros((20, 20), np.int32)
        labels[2:12, 2:12] = 1
        labels[5:8, 5:12] = 0
        self.assertEqual(int((under_test.fill_and_filter(labels, 15) > 0).sum()), 100 - 21)

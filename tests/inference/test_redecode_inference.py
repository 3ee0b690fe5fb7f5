"""Masks and single cells out of cached flows, against the flows they were made of."""

from __future__ import annotations

import unittest
from unittest import mock

import numpy as np

from inference.flow_cache import FlowCacheError, pack, unpack
from inference.flows import DecodeSettings, decode, masks_to_flows
from inference.redecode import cell_at, masks_of
from tests.inference.test_flows_inference import blobs, network_like
from training.metrics import average_precision


class FlowCacheTest(unittest.TestCase):
    def test_masks_from_the_cache_are_those_of_the_network(self):
        for seed in range(3):
            flows, cellprob = network_like(blobs(seed), seed)
            cached = unpack(pack(flows, cellprob, 200))
            for threshold in (-2.0, 0.0, 2.0):
                wanted = decode(flows, cellprob, DecodeSettings(cellprob_threshold=threshold))
                found = masks_of(cached, threshold, 0.4, 15)
                self.assertGreater(average_precision([wanted], [found], [0.75])[0, 0], 0.97)

    def test_three_bytes_a_pixel_before_packing(self):
        flows, cellprob = network_like(blobs(1), 1)
        self.assertLess(len(pack(flows, cellprob, 200)), 3 * cellprob.size + 16)

    def test_thresholds_change_what_is_kept(self):
        flows, cellprob = network_like(blobs(2), 2)
        cached = unpack(pack(flows, cellprob, 200))
        strict = np.count_nonzero(masks_of(cached, 3.0, 0.4, 15))
        loose = np.count_nonzero(masks_of(cached, -3.0, 0.0, 15))
        self.assertLess(strict, loose)
        large = masks_of(cached, 0.0, 0.4, 300)
        self.assertTrue((np.bincount(large.ravel())[1:] >= 300).all())

    def test_other_bytes_are_refused(self):
        good = pack(np.zeros((2, 5, 7), np.float32), np.zeros((5, 7), np.float32), 9)
        for raw in (b"", b"PNG", good[:-3], b"X" + good[1:], good[:16] + b"\0" * 40):
            with self.assertRaises(FlowCacheError):
                unpack(raw)


class CellAtTest(unittest.TestCase):
    def setUp(self) -> None:
        y, x = np.mgrid[:160, :200]
        self.labels = np.zeros((160, 200), np.int32)
        for label, (cy, cx, radius) in enumerate(((40, 50, 14), (42, 80, 14), (158, 150, 20)), 1):
            self.labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
        self.flows = 5 * masks_to_flows(self.labels)

    def cached(self, logit: float = 3.0):
        cellprob = np.where(self.labels > 0, logit, -5.0).astype(np.float32)
        return unpack(pack(self.flows, cellprob, 200))

    def assert_is_cell(self, found, label: int) -> None:
        self.assertIsNotNone(found)
        drawn = np.zeros(self.labels.shape, bool)
        height, width = found.mask.shape
        drawn[found.y0 : found.y0 + height, found.x0 : found.x0 + width] = found.mask
        wanted = self.labels == label
        self.assertGreater((drawn & wanted).sum() / (drawn | wanted).sum(), 0.9)

    def test_the_cell_under_the_point_and_not_its_neighbour(self):
        self.assert_is_cell(cell_at(self.cached(), 50, 40, 28.0), 1)
        self.assert_is_cell(cell_at(self.cached(), 85, 42, 28.0), 2)

    def test_a_cell_the_threshold_left_out_is_found(self):
        self.assert_is_cell(cell_at(self.cached(-2.0), 50, 40, 28.0), 1)

    def test_a_cell_at_the_images_edge_and_one_larger_than_the_first_look(self):
        self.assert_is_cell(cell_at(self.cached(), 150, 155, 28.0), 3)
        with mock.patch("inference.redecode._SMALLEST_WINDOW", 4):
            self.assert_is_cell(cell_at(self.cached(), 134, 157, 9.0), 3)

    def test_background_and_points_outside_give_nothing(self):
        empty = unpack(
            pack(np.zeros((2, 90, 90), np.float32), np.full((90, 90), -4.0, np.float32), 200)
        )
        self.assertIsNone(cell_at(empty, 20, 20, 28.0))
        self.assertIsNone(cell_at(self.cached(), 120, 20, 28.0))
        self.assertIsNone(cell_at(empty, 90, 20, 28.0))
        self.assertIsNone(cell_at(empty, -1, 20, 28.0))

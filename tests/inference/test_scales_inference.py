"""How much of an image is looked at when its cells' size is estimated."""

from __future__ import annotations

import unittest

import numpy as np

from inference import scales
from inference.checkpoint import ModelMeta
from inference.flows import masks_to_flows
from inference.scales import estimate_diameter, probe

META = ModelMeta("segmenter", {}, ("nucleus",))


def discs(side: int) -> np.ndarray:
    """Labels (side, side) of discs of 30 px, 40 px apart."""
    y, x = np.mgrid[:side, :side]
    near = (y % 40 - 20) ** 2 + (x % 40 - 20) ** 2 <= 15**2
    return np.where(near, 1 + y // 40 * (side // 40 + 1) + x // 40, 0).astype(np.uint16)


class Network:
    """Tells the truth about images that are made of label images, and what it was shown."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, planes, diameter):
        self.shapes.append(planes.shape[1:])
        labels = planes[0].astype(np.uint16)
        flows = 5 * masks_to_flows(labels)
        cellprob = np.where(labels > 0, 6.0, -6.0)
        return np.concatenate([flows, cellprob[None]]).astype(np.float32), np.zeros(1, np.float32)


class WindowTest(unittest.TestCase):
    def looked_at(self, side: int):
        network = Network()
        planes = np.stack([discs(side)] * 2).astype(np.float32)
        return probe(planes, network, META, assumed=30.0), network.shapes

    def test_an_image_a_little_larger_than_a_window_is_seen_whole_and_not_again(self):
        seen, shapes = self.looked_at(512)
        self.assertEqual(shapes, [(512, 512)])
        self.assertIsNotNone(seen.look)
        self.assertAlmostEqual(seen.found, 30.0, delta=1.0)

    def test_of_a_larger_one_the_busiest_window_is_seen(self):
        seen, shapes = self.looked_at(700)
        self.assertEqual(shapes, [(448, 448)])
        self.assertIsNone(seen.look)
        self.assertAlmostEqual(seen.found, 30.0, delta=1.0)

    def test_a_strip_is_seen_in_its_width(self):
        network = Network()
        planes = np.stack([np.tile(discs(100), (1, 60))] * 2).astype(np.float32)
        probe(planes, network, META, assumed=30.0)
        self.assertEqual(network.shapes, [(100, 448)])

    def test_a_network_that_agrees_with_what_it_was_told_is_asked_once(self):
        network = Network()
        planes = np.stack([discs(512)] * 2).astype(np.float32)
        estimate = estimate_diameter(planes, network, META)
        self.assertEqual(network.shapes, [(512, 512)])
        self.assertIsInstance(estimate.look, scales.Look)

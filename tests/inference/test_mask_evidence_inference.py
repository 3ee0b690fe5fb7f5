"""How well masks fit the network's outputs, and what no mask covers."""

from __future__ import annotations

import unittest

import numpy as np

from inference.flows import masks_to_flows
from inference.mask_evidence import mask_evidence, missed_cells


def disk(shape, x, y, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) <= radius


class EvidenceTest(unittest.TestCase):
    def setUp(self) -> None:
        self.labels = np.zeros((80, 120), np.uint16)
        self.labels[disk((80, 120), 30, 40, 14)] = 1
        self.labels[disk((80, 120), 85, 40, 14)] = 2
        self.logits = np.where(self.labels > 0, 6.0, -6.0).astype(np.float32)
        self.flows = 5 * masks_to_flows(self.labels)

    def test_masks_that_the_network_would_draw_itself_leave_no_doubt(self):
        found = mask_evidence(self.labels, self.logits, self.flows)
        self.assertGreater(found.inside.min(), 0.99)
        self.assertGreater(found.sharpness.min(), 0.99)
        self.assertLess(found.flow_errors.max(), 0.02)

    def test_each_kind_of_misfit_shows_in_its_own_figure(self):
        self.logits[self.labels == 2] = 0.0
        self.flows[:, self.labels == 1] *= -1
        found = mask_evidence(self.labels, self.logits, self.flows)
        self.assertAlmostEqual(found.inside[1], 0.5, places=3)
        self.assertLess(found.sharpness[1], 0.51)
        self.assertGreater(found.sharpness[0], 0.99)
        self.assertGreater(found.flow_errors[0], 1)
        self.assertLess(found.flow_errors[1], 0.02)

    def test_two_cells_as_one_have_flows_that_do_not_fit(self):
        self.labels[disk((80, 120), 57, 40, 14)] = 1
        flows = 5 * masks_to_flows(self.labels)
        self.labels[self.labels == 2] = 1
        found = mask_evidence(self.labels, self.logits, flows)
        self.assertGreater(found.flow_errors[0], 0.05)

    def test_no_cells_and_a_cell_that_fills_the_image(self):
        empty = np.zeros((20, 20), np.uint16)
        found = mask_evidence(empty, np.zeros((20, 20), np.float32), np.zeros((2, 20, 20), "f4"))
        self.assertEqual(found.inside.shape + found.sharpness.shape, (0, 0))
        full = np.ones((20, 20), np.uint16)
        found = mask_evidence(full, np.ones((20, 20), "f4"), 5 * masks_to_flows(full))
        self.assertEqual(found.sharpness.tolist(), [1.0])

    def test_a_bright_spot_without_a_mask_is_a_missed_cell_and_a_rim_is_none(self):
        there = self.labels == 2
        self.labels[there] = 0
        [(x, y, cells)] = missed_cells(self.labels, self.logits, 28.0)
        self.assertAlmostEqual(x, 85, delta=0.5)
        self.assertAlmostEqual(y, 40, delta=0.5)
        self.assertAlmostEqual(cells, 1, delta=0.1)
        # Probability that reaches a little beyond a mask is that cell's.
        self.labels[there] = 2
        self.logits[disk((80, 120), 85, 40, 16)] = 6.0
        self.assertEqual(missed_cells(self.labels, self.logits, 28.0), [])
        self.assertEqual(missed_cells(self.labels, self.logits - 20, 28.0), [])


if __name__ == "__main__":
    unittest.main()

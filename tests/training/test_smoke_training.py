"""A model that floods its own training images with cells, or finds none there, is noticed."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tests.training.snapshots import disks, write_snapshot
from training import smoke as under_test
from training.answers import Answer


class SmokeTest(unittest.TestCase):
    def looked(self, labels_of, **entry):
        """The smoke of a model that answers ``labels_of(true labels)`` on two images of disks."""
        pixels, labels = disks(0)
        with tempfile.TemporaryDirectory() as name:
            images = [{"pixels": pixels, "labels": labels, **entry}] * 2
            snapshot = write_snapshot(Path(name) / "s", [dict(image) for image in images])
            answer = Answer(labels_of(labels), {}, {})
            with mock.patch.object(under_test, "model_of", return_value=lambda _: answer):
                return under_test.smoke_test(Path(name), snapshot)

    def test_about_as_many_cells_as_there_are_is_sane(self):
        smoke = self.looked(lambda labels: labels)
        self.assertTrue(smoke.sane)
        self.assertEqual((smoke.images, smoke.found), (2, smoke.there))

    def test_none_a_few_and_far_too_many_are_not(self):
        self.assertFalse(self.looked(np.zeros_like).sane)
        self.assertFalse(self.looked(lambda labels: np.where(labels == 1, 1, 0)).sane)

        def crumbs(labels):
            rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
            return np.where(labels > 0, 1 + rows // 4 * 100 + columns // 4, 0)

        smoke = self.looked(crumbs)
        self.assertFalse(smoke.sane)
        self.assertIn(f"it finds {smoke.found} cells where {smoke.there} are", smoke.sentence())

    def test_only_complete_regions_are_compared(self):
        smoke = self.looked(lambda labels: labels, complete_regions=[[0, 0, 56, 96]])
        self.assertTrue(smoke.sane)
        self.assertLess(smoke.there, 2 * np.unique(disks(0)[1]).size - 2)


if __name__ == "__main__":
    unittest.main()

"""Only complete regions teach: nothing drawn elsewhere moves a single weight."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.snapshots import disks, write_snapshot
from training.config import TrainConfig
from training.dataset import open_snapshot
from training.detector_learner import DetectorLearner
from training.losses import flow_loss
from training.segmenter_learner import SegmenterLearner

CPU = torch.device("cpu")
SETTINGS: dict[str, dict[str, Any]] = {
    "segmenter": {"width": 4, "crop": 64, "batch_size": 2, "crops_per_epoch": 4},
    "detector": {"crop": 96, "batch_size": 2, "crops_per_epoch": 2},
}
LEARNERS: dict[str, Any] = {"segmenter": SegmenterLearner, "detector": DetectorLearner}
REGION = [0, 0, 56, 96]  # the left half


class PartialAnnotationTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def gradients(self, family: str, name: str, labels: np.ndarray, types: dict[str, str]):
        """Of every weight, after the batches of one epoch on two half annotated images."""
        pixels = disks(0)[0]
        entry = {
            "pixels": pixels,
            "labels": labels,
            "complete_regions": [REGION],
            "cell_types": types,
        }
        folder = write_snapshot(
            self.folder / family / name, [dict(entry), dict(entry)], family=family, types=["a", "b"]
        )
        torch.manual_seed(0)
        config = TrainConfig.for_family(
            family, {**SETTINGS[family], "precision": "float32", "learning_rate": 1e-3}
        )
        learner = LEARNERS[family](config, open_snapshot(folder), folder / "run", None, CPU)
        learner.model.train()
        torch.manual_seed(1)
        for batch in learner.batches(1):
            learner.loss(batch).backward()
        return {k: p.grad for k, p in learner.model.named_parameters() if p.grad is not None}

    def assert_equal_gradients(self, family: str, labels: np.ndarray, types: dict[str, str]):
        true = disks(0)[1]
        told = {str(label): "ab"[label % 2] for label in np.unique(true[true > 0])}
        expected = self.gradients(family, "as-drawn", true, told)
        found = self.gradients(family, "changed", labels, told | types)
        self.assertTrue(any(gradient.any() for gradient in expected.values()))
        self.assertEqual(expected.keys(), found.keys())
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=0, atol=0, msg=name)

    def outside(self) -> tuple[np.ndarray, np.ndarray]:
        """The true labels, and where the cells lie that the region does not show."""
        true = disks(0)[1]
        seen = np.unique(true[:, : REGION[2]])
        return true, (true > 0) & ~np.isin(true, seen)

    def test_cells_missing_outside_are_not_taught_as_background(self):
        true, outside = self.outside()
        for family in LEARNERS:
            with self.subTest(family):
                self.assert_equal_gradients(family, np.where(outside, 0, true), {})

    def test_cells_wrongly_drawn_outside_teach_nothing(self):
        true, _ = self.outside()
        wrong = true.copy()
        wrong[10:70, 90:110] = 4000
        for family in LEARNERS:
            with self.subTest(family):
                self.assert_equal_gradients(family, wrong, {"4000": "a"})

    def test_types_of_cells_outside_teach_nothing(self):
        true, outside = self.outside()
        types = {str(label): "a" for label in np.unique(true[outside])}
        self.assert_equal_gradients("detector", true, types)

    def test_what_lies_inside_does_teach(self):
        true, _ = self.outside()
        fewer = np.where(true == true[true > 0][0], 0, true)
        for family in LEARNERS:
            with self.subTest(family), self.assertRaises(AssertionError):
                self.assert_equal_gradients(family, fewer, {})

    def test_the_flow_loss_has_no_gradient_where_the_weight_is_zero(self):
        generator = torch.Generator().manual_seed(0)
        outputs = torch.randn(2, 3, 16, 16, generator=generator, requires_grad=True)
        flows = torch.randn(2, 2, 16, 16, generator=generator)
        inside = (torch.rand(2, 16, 16, generator=generator) > 0.5).float()
        weight = (torch.rand(2, 16, 16, generator=generator) > 0.5).float()
        flow_loss(outputs, flows, inside, weight).backward()
        taught = (outputs.grad != 0).any(dim=1)
        self.assertFalse(taught[weight == 0].any())
        self.assertTrue(taught[weight > 0].all())


if __name__ == "__main__":
    unittest.main()

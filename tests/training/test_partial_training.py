"""Only complete regions teach: nothing drawn elsewhere moves a single weight."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from inference.rectangles import rectangles
from tests.training.snapshots import disks, write_snapshot
from training.config import TrainConfig
from training.dataset import open_snapshot
from training.detector_learner import DetectorLearner
from training.known import share_of_crop
from training.losses import flow_loss
from training.segmenter_learner import SegmenterLearner

CPU = torch.device("cpu")
SETTINGS: dict[str, dict[str, Any]] = {
    "segmenter": {"width": 4, "crop": 64, "batch_size": 2, "crops_per_epoch": 4},
    "detector": {"crop": 96, "batch_size": 2, "crops_per_epoch": 2},
}
LEARNERS: dict[str, Any] = {"segmenter": SegmenterLearner, "detector": DetectorLearner}
REGION = [0, 0, 56, 96]  # the left half
Regions = list[list[int]]
HALF: Regions = [REGION]
TOLD = np.array([6, 7])  # cells in the middle of the image


def around(labels: np.ndarray, cells: np.ndarray) -> list[list[int]]:
    """What the gallery tells of single cells: their pixels and the background next to them."""
    told = np.isin(labels, cells)
    near = cv2.dilate(told.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return rectangles(near & (told | (labels == 0)), labels.size)


class PartialAnnotationTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def learner(
        self, family: str, name: str, labels: np.ndarray, types: dict[str, str], regions: Regions
    ):
        """Of two images that are annotated in part."""
        pixels = disks(0)[0]
        entry = {
            "pixels": pixels,
            "labels": labels,
            "complete_regions": regions,
            "cell_types": types,
        }
        folder = write_snapshot(
            self.folder / family / name, [dict(entry), dict(entry)], family=family, types=["a", "b"]
        )
        torch.manual_seed(0)
        config = TrainConfig.for_family(
            family, {**SETTINGS[family], "precision": "float32", "learning_rate": 1e-3}
        )
        return LEARNERS[family](config, open_snapshot(folder), folder / "run", None, CPU)

    def gradients(self, *told: Any):
        """Of every weight, after the batches of one epoch."""
        learner = self.learner(*told)
        learner.model.train()
        torch.manual_seed(1)
        for batch in learner.batches(1):
            learner.loss(batch).backward()
        return {k: p.grad for k, p in learner.model.named_parameters() if p.grad is not None}

    def assert_equal_gradients(
        self,
        family: str,
        labels: np.ndarray,
        types: dict[str, str],
        regions: Regions = HALF,
    ):
        true = disks(0)[1]
        told = {str(label): "ab"[label % 2] for label in np.unique(true[true > 0])}
        expected = self.gradients(family, "as-drawn", true, told, regions)
        found = self.gradients(family, "changed", labels, told | types, regions)
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

    def test_around_single_cells_what_is_drawn_elsewhere_teaches_nothing(self):
        true = disks(0)[1]
        regions = around(true, TOLD)
        others = np.where(np.isin(true, TOLD), true, 0)
        wrong = others.copy()
        wrong[1:6, 1:60] = 4000
        for family in LEARNERS:
            for name, labels in (("missing", others), ("wrong", wrong)):
                with self.subTest(f"{family}, {name}"):
                    self.folder = self.folder / name
                    self.assert_equal_gradients(family, labels, {"4000": "a"}, regions)

    def test_around_single_cells_a_detector_is_taught_them_whole_and_no_other_as_background(self):
        true = disks(0)[1]
        told = {str(label): "a" for label in TOLD.tolist()}
        learner = self.learner("detector", "cells", true, told, around(true, TOLD))
        rcnn = learner.model.rcnn
        rng = np.random.default_rng(0)
        for _ in range(8):
            planes, target = learner._crop(learner.samples[0], rng)
            self.assertGreaterEqual(len(target["boxes"]), 1)
            sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
            self.assertGreater(float((sides[:, 0] / sides[:, 1]).min()), 0.6)  # disks, no strips
            unknown = ~target["known"].numpy()
            self.assertGreater(unknown.mean(), 0.5)
            self.assertGreater(float(planes[0][unknown].std()), 0.1)  # shown all the same
            depth = cv2.distanceTransform(unknown.astype(np.uint8), cv2.DIST_L2, 3)
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            far = torch.tensor([[x - 6, y - 6, x + 6, y + 6]], dtype=torch.float32)
            anchors = torch.cat([far, target["boxes"]])
            labels = rcnn.rpn.assign_targets_to_anchors([anchors], [target])[0][0]
            self.assertEqual(labels.tolist(), [-1.0] + [1.0] * len(target["boxes"]))
            _, _, kinds, _ = rcnn.roi_heads.select_training_samples([anchors], [target])
            self.assertFalse((kinds[0] == 0).any())

    def test_an_image_of_which_one_cell_is_known_is_shown_more_rarely_than_a_whole_one(self):
        small = ((0, 0, 10, 10), (5, 0, 15, 10))
        self.assertEqual(share_of_crop(None, (50, 50), 1.0, 100), 1.0)
        self.assertEqual(share_of_crop(((0, 0, 50, 50),), (50, 50), 1.0, 100), 1.0)
        self.assertAlmostEqual(share_of_crop(small, (50, 50), 1.0, 100), 0.015)
        self.assertAlmostEqual(share_of_crop(small, (50, 50), 2.0, 100), 0.06)
        self.assertEqual(share_of_crop(small, (50, 50), 20.0, 100), 1.0)

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

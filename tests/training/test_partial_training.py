"""Only complete regions teach: nothing drawn elsewhere moves a single weight."""

from __future__ import annotations

import tempfile
import unittest
from dataclasses import replace
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
from training.detector_samples import FADE_CELLS, CellBatch, shown_shares
from training.known import known_share, share_of_crop
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
            self.assertGreater(float((sides[:, 0] / sides[:, 1]).min()), 0.3)  # no strips of disks
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
            self.assertEqual(int((kinds[0] == 0).sum()), 1)  # a box of one pixel

    def test_where_a_cell_was_rejected_a_detector_is_taught_that_there_is_none(self):
        true = disks(0)[1]
        regions = around(true, TOLD)
        nothing = np.where(np.isin(true, TOLD), 0, true)
        learner = self.learner("detector", "rejected", nothing, {}, [*regions, *HALF])
        sample = replace(learner.samples[0], regions=tuple(map(tuple, regions)))
        rcnn, rng = learner.model.rcnn, np.random.default_rng(0)
        for _ in range(8):
            _, target = learner._crop(sample, rng)
            self.assertEqual(len(target["boxes"]), 0)
            depth = cv2.distanceTransform(target["known"].numpy().astype(np.uint8), cv2.DIST_L2, 3)
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            there = torch.tensor([[x - 6, y - 6, x + 7, y + 7]], dtype=torch.float32)
            labels = rcnn.rpn.assign_targets_to_anchors([there], [target])[0][0]
            self.assertEqual(labels.tolist(), [0.0])

    def test_a_crop_in_which_hardly_anything_is_known_teaches_nothing_and_breaks_nothing(self):
        true = disks(0)[1]
        learner = self.learner("detector", "speck", true, {}, HALF)
        learner.model.train()
        for regions in (((50, 50, 53, 52),), ((50, 50, 62, 62),)):
            sample = replace(learner.samples[0], regions=regions)
            image, target = learner._crop(sample, np.random.default_rng(1))
            self.assertEqual(len(target["boxes"]), 0)
            loss = learner.loss(CellBatch([image], [target], ("i",)))
            loss.backward()
            self.assertTrue(torch.isfinite(loss))

    def test_a_cell_known_in_part_is_neither_a_cell_nor_background(self):
        true = disks(0)[1]
        rows = np.flatnonzero((true == TOLD[0]).any(axis=1))
        strip = (0, int(rows.min()), true.shape[1], int(rows.min()) + 12)  # of 18 px of the cell
        learner = self.learner("detector", "strip", true, {}, HALF)
        sample = replace(learner.samples[0], regions=(strip,))
        for seed in range(6):
            _, target = learner._crop(sample, np.random.default_rng(seed))
            self.assertEqual(len(target["boxes"]), 0)
            self.assertLess(float(target["known"].float().mean()), 0.5)
            places = target["owners"][~target["known"]]
            self.assertTrue((places == -1).all())

    def test_images_are_shown_in_proportion_to_what_is_known_of_them(self):
        pixels, labels = disks(0)
        part = [[0, y, 28, y + 8] for y in (0, 8, 16)]  # strips
        for family in LEARNERS:
            folder = write_snapshot(
                self.folder / family,
                [
                    {"pixels": pixels, "labels": labels},
                    {"pixels": pixels, "labels": labels, "complete_regions": part},
                    {"pixels": pixels, "labels": labels, "split": "validation"},
                ],
                family=family,
            )
            config = TrainConfig.for_family(
                family, {**SETTINGS[family], "batch_size": 8, "crops_per_epoch": 320}
            )
            learner = LEARNERS[family](config, open_snapshot(folder), folder / "run", None, CPU)
            names = [name for batch in learner.batches(1) for name in batch.names]
            rarer = names.count("i2.tif") / names.count("i1.tif")
            self.assertGreater(rarer, 0.02, family)
            self.assertLess(rarer, 0.5, family)

    def test_predicted_images_are_not_shown_more_often_because_little_is_known_of_others(self):
        true = disks(0)[1]
        learner = self.learner("detector", "weak", true, {"1": "a"}, HALF)
        people = [replace(learner.samples[0], types=np.zeros(FADE_CELLS // 10 + 1, np.int64))] * 10
        model = [replace(learner.samples[0], predicted=True, weight=0.3)] * 40
        shares = shown_shares([*people, *model], [0.2] * 10 + [1.0] * 40)
        self.assertAlmostEqual(shares[10:].sum() / shares[:10].sum(), 1.0, delta=0.01)

    def test_how_much_of_a_crop_is_known(self):
        small = ((0, 0, 10, 10), (5, 0, 15, 10))
        self.assertEqual(share_of_crop(None, (50, 50), 1.0, 100), 1.0)
        self.assertEqual(share_of_crop(((0, 0, 50, 50),), (50, 50), 1.0, 100), 1.0)
        self.assertAlmostEqual(share_of_crop(((0, 0, 50, 49),), (50, 50), 1.0, 100), 0.98)
        self.assertAlmostEqual(share_of_crop(small, (50, 50), 1.0, 100), 0.06)
        self.assertAlmostEqual(share_of_crop(small, (500, 500), 1.0, 100), 0.015)
        self.assertAlmostEqual(share_of_crop(small, (500, 500), 2.0, 100), 0.06)
        self.assertEqual(share_of_crop(small, (500, 500), 20.0, 100), 1.0)
        self.assertEqual(share_of_crop(((60, 60, 90, 90),), (50, 50), 1.0, 100), 0.0)
        self.assertEqual(share_of_crop((), (50, 50), 1.0, 100), 0.0)
        known = torch.zeros(10, 10, dtype=torch.bool)
        known[:, :5] = True
        boxes = torch.tensor([[0, 0, 10, 10], [3.1, 3, 3.4, 9], [9.6, 0, 10, 10], [-90, 0, 10, 10]])
        torch.testing.assert_close(known_share(known, boxes), torch.tensor([0.5, 1.0, 0.0, 0.5]))

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

"""Images too large for a model to see whole: judged in windows, prepared in parts, or refused."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy import ndimage

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.flows import masks_to_flows
from inference.labels import iou_pairs
from inference.normalize import normalize
from inference.segmenter import build_net
from tests.training.snapshots import disks, write_snapshot
from training import evaluate as evaluation
from training import large as under_test
from training import prepared, smoke
from training.answers import Answer, judged
from training.config import TrainConfig
from training.dataset import open_snapshot
from training.detector_learner import DetectorLearner
from training.errors import TrainingError
from training.train import train

ARCHITECTURE = {"name": "cpnet", "nbase": [2, 4, 4, 4, 4]}
REGION = [60, 60, 300, 250]


def bright(planes, diameter=None):
    """Sees every bright piece as a cell, types the upper ones, and is unsure of every third."""
    labels = ndimage.label(planes[0] > 0.5)[0].astype(np.uint32)
    ids = range(1, int(labels.max()) + 1)
    scores = {label: 0.4 if label % 3 == 0 else 0.9 for label in ids}
    return Answer(labels, dict.fromkeys(ids, "HEK"), scores, 0.5, dict.fromkeys(ids, 0.8))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def image(self, shape=(330, 420), split="test", **entry):
        pixels, labels = disks(0, shape)
        given = {"pixels": pixels, "labels": labels, "split": split, **entry}
        place = self.folder / f"s{len([*self.folder.iterdir()])}"
        return open_snapshot(write_snapshot(place, [given])).images[0]

    def model(self):
        meta = ModelMeta("segmenter", ARCHITECTURE, ("nucleus",), fixed_diameter=18.0)
        checkpoint.save(self.folder / "model", build_net(ARCHITECTURE).state_dict(), meta)
        return self.folder / "model"


class JudgedInWindowsTest(Case):
    def in_windows(self, model, image, core=80, margin=40):
        with mock.patch.object(under_test, "MARGIN", margin):
            return under_test.judged_in_windows(model, image, lambda: None, core)

    def test_the_figures_are_those_of_an_image_seen_whole(self):
        types = {str(label): "HEK" for label in range(1, 50)}
        for regions in (None, [REGION], [[0, 0, 90, 90], [250, 200, 420, 330]]):
            image = self.image(complete_regions=regions, cell_types=types)
            whole, seen_whole = judged(image, bright(normalize(image.pixels())))
            apart, seen_apart = self.in_windows(bright, image)
            self.assertEqual(len(apart.types), len(whole.types))
            expected = evaluation._figures(whole.labels, seen_whole)
            self.assertGreater(expected["cells"], 20)
            self.assertEqual(evaluation._figures(apart.labels, seen_apart), expected)
            self.assertEqual(len(seen_apart.types), len(seen_whole.types))
            self.assertEqual(set(seen_apart.scores.values()), {0.4, 0.9})
            self.assertEqual((seen_apart.least, seen_apart.chances[1]), (0.5, 0.8))

    def test_only_windows_near_complete_regions_are_looked_at_all_at_one_diameter(self):
        told = []

        def model(planes, diameter=None):
            told.append((planes.shape, diameter))
            return bright(planes, diameter)

        self.in_windows(model, self.image(complete_regions=[[0, 0, 60, 60]]))
        windows = [shape for shape, diameter in told if diameter]
        self.assertEqual(len(windows), 4)  # its own, and those whose cells may reach into it
        self.assertLess(max(max(shape) for shape in windows), 161)
        diameters = {diameter for _, diameter in told if diameter}
        self.assertAlmostEqual(diameters.pop(), 18, delta=1.5)
        self.assertFalse(diameters)

    def test_evaluation_takes_this_way_and_leaves_out_what_is_too_large_for_it(self):
        snapshot = self.image(complete_regions=[REGION]).image_file.parents[1]
        model = self.model()
        with mock.patch.object(evaluation, "_segmenter", return_value=bright):
            whole = evaluation.evaluate(model, snapshot, "test")
            with mock.patch.object(under_test, "LARGE", 1000):
                windows = evaluation.evaluate(model, snapshot, "test")
            with (
                mock.patch.multiple(under_test, LARGE=1000, MOST=2000),
                self.assertLogs("training.large", "WARNING") as logged,
                self.assertRaisesRegex(TrainingError, "too large to evaluate on"),
            ):
                evaluation.evaluate(model, snapshot, "test")
        self.assertEqual(windows, whole)
        self.assertIn("i1.tif is left out", logged.output[0])

    def test_a_real_segmenter_sees_windows_as_it_sees_an_image(self):
        image = self.image((96, 112))
        answer = evaluation.model_of(self.model())
        whole, _ = judged(image, answer(normalize(image.pixels())))
        apart, _ = under_test.judged_in_windows(answer, image, lambda: None)
        self.assertEqual(iou_pairs(whole.labels.reshape(1, -1), apart.labels)[2].min(), 1.0)

    def test_a_smoke_test_does_without_large_images(self):
        small, large = disks(0), disks(1, (330, 420))
        images = [{"pixels": pixels, "labels": labels} for pixels, labels in (small, large)]
        snapshot = write_snapshot(self.folder / "s", images)
        with (
            mock.patch.object(under_test, "LARGE", small[1].size),
            mock.patch.object(smoke, "model_of", return_value=bright),
        ):
            looked = smoke.smoke_test(self.folder, snapshot)
        self.assertEqual(looked.images, 1)
        self.assertEqual(looked.there, np.unique(small[1]).size - 1)


class PreparingTest(Case):
    def test_parts_come_out_as_the_whole_does(self):
        image = self.image()
        pixels, labels = image.pixels(), image.labels()
        labels[labels == 9] = 40  # one cell in two places, far from each other
        with mock.patch.object(prepared, "_ROWS", 50):
            planes = prepared.normalized(pixels)
        np.testing.assert_array_equal(planes, normalize(pixels).astype(np.float16))
        with mock.patch.multiple(prepared, LARGE=1000, CORE=70):
            flows = prepared.flows_of(labels)
        np.testing.assert_array_equal(flows, masks_to_flows(labels).astype(np.float16))
        with mock.patch.object(prepared, "LARGE", 1000):
            self.assertFalse(prepared.flows_of(labels * 0).any())

    def test_more_than_the_machine_holds_is_refused_by_name(self):
        snapshot = self.image(split="train").image_file.parents[1]
        config = TrainConfig.for_family("segmenter", {"width": 4, "crop": 64, "batch_size": 2})
        with (
            mock.patch("training.room.machine_memory_mb", return_value=1.0),
            mock.patch("training.train.check_memory"),
            self.assertRaisesRegex(TrainingError, r"i1.tif \(420 × 330 px\).*cut it"),
        ):
            train(config, snapshot, self.folder / "run")

    def test_a_detector_is_not_validated_on_large_images(self):
        small, large = disks(0), disks(1, (330, 420))
        images = [
            {"pixels": pixels, "labels": labels, "split": split}
            for split in ("train", "validation")
            for pixels, labels in (small, large)
        ]
        snapshot = open_snapshot(write_snapshot(self.folder / "s", images))
        config = TrainConfig.for_family("detector", {"width": 8, "crop": 64}).settled(False)
        with mock.patch.object(under_test, "LARGE", small[1].size):
            device = torch.device("cpu")
            learner = DetectorLearner(config, snapshot, self.folder / "run", None, device)
        self.assertEqual([sample.name for sample in learner.held], ["i3.tif"])
        self.assertEqual(len(learner.samples), 2)


if __name__ == "__main__":
    unittest.main()

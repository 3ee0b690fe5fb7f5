"""Evaluation of a model folder on a split of a snapshot."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.segmenter import build_net
from tests.training.snapshots import disks, write_snapshot
from training import evaluate as under_test
from training.errors import TrainingError
from training.evaluate import Answer

ARCHITECTURE = {"name": "cpnet", "nbase": [2, 4, 4, 4, 4]}


class EvaluateTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def model(self, family="segmenter"):
        meta = ModelMeta(family, ARCHITECTURE, ("nucleus",), fixed_diameter=18.0)
        checkpoint.save(self.folder / "model", build_net(ARCHITECTURE).state_dict(), meta)
        return self.folder / "model"

    def judged(self, images, answer, family="segmenter", **document):
        """``evaluate`` where the model answers ``answer(pixels)``."""
        snapshot = write_snapshot(self.folder / "snapshot", images, **document)
        name = "_segmenter" if family == "segmenter" else "_detector"
        with mock.patch.object(under_test, name, return_value=answer):
            return under_test.evaluate(self.model(family), snapshot, "test")

    def test_an_untrained_segmenter_gets_figures_for_each_image(self):
        images = []
        for seed in range(2):
            pixels, labels = disks(seed)
            images.append({"pixels": pixels, "labels": labels, "split": "test"})
        snapshot = write_snapshot(self.folder / "snapshot", images)
        figures = under_test.evaluate(self.model(), snapshot, "test")
        self.assertEqual(figures["images"], 2)
        self.assertEqual([row["image"] for row in figures["per_image"]], ["i1", "i2"])
        for key in ("ap50", "ap75", "ap90", "pq", "aji", "count_error"):
            self.assertGreaterEqual(figures[key], 0.0)

    def test_it_rejects_a_split_without_labelled_images(self):
        pixels, labels = disks(0)
        snapshot = write_snapshot(self.folder / "snapshot", [{"pixels": pixels, "labels": labels}])
        with self.assertRaisesRegex(TrainingError, "test split has no labelled image"):
            under_test.evaluate(self.model(), snapshot, "test")

    def test_cells_outside_complete_regions_do_not_count(self):
        pixels, labels = disks(0)
        known = np.where(np.isin(labels, labels[:, 50:]), 0, labels)
        image = {"pixels": pixels, "labels": known, "split": "test"}
        regions = {"complete_regions": [[0, 0, 50, 96]]}
        figures = self.judged([image | regions], lambda _: Answer(labels, {}, {}))
        self.assertLess(known.astype(bool).sum(), labels.astype(bool).sum())
        self.assertEqual((figures["ap50"], figures["count_error"]), (1.0, 0.0))

    def test_a_detector_is_judged_by_type_too_and_mixed_images_apart(self):
        pixels, labels = disks(0)
        ids = np.unique(labels)[1:].tolist()
        pure = dict.fromkeys(map(str, ids), "HEK")
        mixed = {str(k): "HEK" if k % 2 else "N2a" for k in ids}
        base = {"pixels": pixels, "labels": labels, "split": "test"}
        images = [
            base | {"cell_types": pure, "culture": "HEK"},
            base | {"cell_types": mixed, "culture": "mixed"},
        ]
        answer = Answer(labels, dict.fromkeys(ids, "HEK"), dict.fromkeys(ids, 0.9))
        figures = self.judged(images, lambda _: answer, "detector", types=["HEK", "N2a"])
        wrong = sum(1 for k in ids if k % 2 == 0)
        self.assertEqual(figures["ap50"], 1.0)
        self.assertAlmostEqual(figures["type_accuracy"], 1 - wrong / (2 * len(ids)))
        self.assertAlmostEqual(figures["type_accuracy_mixed"], 1 - wrong / len(ids))
        self.assertEqual(figures["predicted_share_mixed"], {"HEK": 1.0, "N2a": 0.0})
        self.assertAlmostEqual(figures["true_share_mixed"]["N2a"], wrong / len(ids))
        self.assertLess(figures["map"], 1.0)

"""Evaluation of a model folder on a split of a snapshot."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from inference import checkpoint
from inference.checkpoint import ModelMeta
from inference.segmenter import Segmenter, build_net
from tests.training.snapshots import disks, write_snapshot
from training import evaluate as under_test
from training.answers import Answer
from training.errors import TrainingError

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

    def test_a_segmenter_is_run_on_each_image_of_the_split(self):
        images = []
        for seed in range(2):
            pixels, labels = disks(seed)
            images.append({"pixels": pixels, "labels": labels, "split": "test"})
        snapshot = write_snapshot(self.folder / "snapshot", images)
        torch.manual_seed(0)
        model = self.model()
        figures = under_test.evaluate(model, snapshot, "test")
        self.assertEqual(figures["images"], 2)
        self.assertEqual([row["image"] for row in figures["per_image"]], ["i1", "i2"])
        segmenter = Segmenter.load(model)
        for image, row in zip(images, figures["per_image"], strict=True):
            expected, found = (
                np.unique(labels[labels > 0]).size
                for labels in (image["labels"], segmenter.segment(image["pixels"]).labels)
            )
            self.assertEqual(row["cells"], expected)
            self.assertAlmostEqual(row["count_error"], abs(found - expected) / expected)

    def test_figures_are_what_arithmetic_says(self):
        pixels, labels = disks(0)
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
        missed = np.where(np.isin(labels, ids[:3]), 0, labels)
        images = [{"pixels": pixels + n, "labels": labels, "split": "test"} for n in range(2)]
        answers = iter((labels, missed))
        figures = self.judged(images, lambda _: Answer(next(answers), {}, {}))
        found, total = len(ids) - 3, len(ids)
        for key in ("ap50", "ap75", "ap90"):
            self.assertAlmostEqual(figures[key], (1 + found / total) / 2)
        self.assertAlmostEqual(figures["pq"], (1 + found / (found + 1.5)) / 2)
        self.assertAlmostEqual(figures["aji"], (1 + areas[3:].sum() / areas.sum()) / 2, places=5)
        self.assertAlmostEqual(figures["count_error"], 3 / total / 2)

    def test_ids_of_any_size_are_judged(self):
        pixels, labels = disks(0)
        high = np.where(labels > 0, labels.astype(np.uint32) + (2**31 - 1000), 0)
        high = high.astype(np.uint32)
        types = {str(k): "HEK" for k in np.unique(high)[1:].tolist()}
        image = {"pixels": pixels, "labels": high, "split": "test", "cell_types": types}
        width = pixels.shape[2]
        image["complete_regions"] = [[0, 0, width, pixels.shape[1]]]
        ids = np.unique(labels)[1:].tolist()
        answer = Answer(labels, dict.fromkeys(ids, "HEK"), dict.fromkeys(ids, 0.9))
        real, seen = np.bincount, []

        def bincount(values, *args, **options):
            seen.append(int(values.max(initial=0)))
            return real(values, *args, **options) if seen[-1] < 2**20 else real([0])

        with mock.patch.object(np, "bincount", bincount):
            figures = self.judged([image], lambda _: answer, "detector", types=["HEK"])
        self.assertLess(max(seen), 2**20, "a table of all ids up to the largest takes gigabytes")
        self.assertEqual((figures["ap50"], figures["map"]), (1.0, 1.0))
        self.assertEqual(figures["per_image"][0]["cells"], len(ids))

    def test_an_image_with_nothing_complete_yet_is_no_perfect_one(self):
        pixels, labels = disks(0)
        image = {"pixels": pixels, "labels": labels, "split": "test"}
        blank = lambda _: Answer(labels * 0, {}, {})  # noqa: E731
        figures = self.judged([image, image | {"complete_regions": []}], blank)
        self.assertEqual((figures["images"], figures["ap50"]), (1, 0.0))

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

    def test_types_of_cells_outside_complete_regions_do_not_count(self):
        pixels, labels = disks(0)
        ids = np.unique(labels)[1:].tolist()
        outside = np.unique(labels[:, 50:]).tolist()
        types = {k: "N2a" if k in outside else "HEK" for k in ids}
        image = {"pixels": pixels, "labels": labels, "split": "test"}
        image["cell_types"] = {str(k): name for k, name in types.items()}
        image["complete_regions"] = [[0, 0, 50, 96]]
        answer = Answer(labels, types, dict.fromkeys(ids, 0.9))
        figures = self.judged([image], lambda _: answer, "detector", types=["HEK", "N2a"])
        self.assertEqual(figures["true_share"], {"HEK": 1.0, "N2a": 0.0})
        self.assertEqual(figures["predicted_share"], figures["true_share"])
        self.assertEqual(figures["map"], 1.0)

    def test_the_gap_between_single_type_and_mixed_images_is_told_per_batch(self):
        pixels, labels = disks(0)
        ids = np.unique(labels)[1:].tolist()
        base = {"pixels": pixels, "labels": labels, "split": "test"}
        pure = base | {"cell_types": dict.fromkeys(map(str, ids), "HEK"), "culture": "HEK"}
        half = {str(k): "HEK" if k % 2 else "N2a" for k in ids}
        mixed = base | {"cell_types": half, "culture": "mixed"}
        images = [pure | {"group": "b1"}, mixed | {"group": "b1"}, pure | {"group": "b2"}]
        told = dict.fromkeys(ids, "HEK")
        answer = Answer(labels, told, dict.fromkeys(ids, 0.9), 0.0, dict.fromkeys(ids, 0.7))
        figures = self.judged(images, lambda _: answer, "detector", types=["HEK", "N2a"])
        wrong = sum(1 for k in ids if k % 2 == 0) / len(ids)
        self.assertEqual(figures["type_accuracy_single"], 1.0)
        self.assertAlmostEqual(figures["mono_mixed_gap"], wrong)
        (batch,) = figures["per_batch"]
        self.assertEqual((batch["batch"], batch["images"]), ("b1", 2))
        self.assertAlmostEqual(batch["mono_mixed_gap"], wrong)
        right = 1 - wrong / 3
        self.assertAlmostEqual(figures["type_calibration_error"], abs(0.7 - right))

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

"""Snapshot folders: what is read, what is refused, and how validation images are held out."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np

from tests.training.snapshots import disks, write_disks, write_snapshot
from training.dataset import hold_out, open_snapshot
from training.errors import TrainingError


class SnapshotTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "snapshot"

    def test_images_come_back_with_types_and_regions(self):
        pixels, labels = disks(0)
        write_snapshot(
            self.folder,
            [
                {
                    "pixels": pixels,
                    "labels": labels,
                    "cell_types": {"1": "HEK"},
                    "complete_regions": [[0, 0, 40, 30]],
                },
                {"pixels": pixels, "split": "test"},
            ],
            types=["HEK"],
        )
        snapshot = open_snapshot(self.folder)
        (image,) = snapshot.split("train")
        np.testing.assert_array_equal(image.pixels(), pixels)
        np.testing.assert_array_equal(image.labels(), labels)
        self.assertEqual(image.cell_types, {1: "HEK"})
        trusted = image.trusted(labels.shape)
        self.assertEqual(int(trusted.sum()), 40 * 30)
        self.assertEqual(snapshot.split("test"), ())

    def test_it_rejects_a_folder_whose_manifest_is_missing_or_damaged(self):
        self.folder.mkdir()
        with self.assertRaisesRegex(TrainingError, "no whole snapshot"):
            open_snapshot(self.folder)
        for text in (
            "{",
            "[]",
            '{"hash": "x"}',
            json.dumps({"hash": 1, "channels": [], "images": [{}]}),
        ):
            (self.folder / "manifest.json").write_text(text)
            with self.subTest(text), self.assertRaisesRegex(TrainingError, "damaged"):
                open_snapshot(self.folder)

    def test_it_rejects_labels_of_another_shape_and_missing_files_by_name(self):
        pixels, labels = disks(0)
        write_snapshot(self.folder, [{"pixels": pixels, "labels": labels[:50], "name": "odd.tif"}])
        (image,) = open_snapshot(self.folder).images
        with self.assertRaisesRegex(TrainingError, "odd.tif"):
            image.labels()
        image.image_file.unlink()
        with self.assertRaisesRegex(TrainingError, "odd.tif"):
            image.pixels()

    def test_pixels_that_are_no_numbers_are_refused_by_name(self):
        pixels, labels = disks(1)
        damaged = pixels.astype(np.float32)
        damaged[0, 3, 4] = np.nan
        write_snapshot(self.folder, [{"pixels": damaged, "labels": labels, "name": "odd.tif"}])
        image = open_snapshot(self.folder).images[0]
        with self.assertRaisesRegex(TrainingError, "odd.tif.*no numbers"):
            image.pixels()

    def test_pickled_arrays_are_not_opened(self):
        write_disks(self.folder, ["train"])
        (image,) = open_snapshot(self.folder).images
        np.save(image.image_file, np.array([{"a": 1}], object), allow_pickle=True)
        with self.assertRaises(TrainingError):
            image.pixels()


class HoldOutTest(unittest.TestCase):
    def images(self, groups, regions=None):
        """One image of each group, of which as much is known as ``regions`` say."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        pixels, labels = disks(0, (30, 30))
        entries = [
            {"pixels": pixels, "labels": labels, "group": g, "complete_regions": r}
            for g, r in zip(groups, regions or [None] * len(groups), strict=True)
        ]
        return open_snapshot(write_snapshot(folder / "s", entries)).images

    def test_about_a_tenth_is_held_out_and_always_the_same(self):
        images = self.images([f"g{k}" for k in range(30)])
        train, held = hold_out(images, 0.1)
        self.assertEqual((len(train), len(held)), (27, 3))
        again = hold_out(tuple(reversed(images)), 0.1)[1]
        self.assertEqual({i.id for i in again}, {i.id for i in held})

    def test_a_group_is_never_split(self):
        train, held = hold_out(self.images(["a"] * 4 + ["b"] * 4 + ["c"] * 4), 0.3)
        self.assertTrue(held)
        self.assertFalse({i.group for i in train} & {i.group for i in held})

    def test_the_only_image_with_a_known_cell_is_not_held_out(self):
        nothing, cells = [[0, 0, 1, 1]], None
        for regions in ([nothing, cells], [cells, nothing]):
            train = hold_out(self.images(["a", "b"], regions), 0.1)[0]
            self.assertTrue(any(image.complete_regions is None for image in train))
        self.assertEqual(len(hold_out(self.images(["a", "b"]), 0.1)[1]), 1)

    def test_a_single_group_stays_in_training(self):
        train, held = hold_out(self.images(["a", "a", "a"]), 0.1)
        self.assertEqual((len(train), len(held)), (3, 0))

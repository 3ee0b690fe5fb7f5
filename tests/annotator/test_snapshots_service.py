"""Snapshots: what teaches which family, frozen and written whole."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
from django.conf import settings
from django.test import TestCase

from annotator.models import Dataset, Family, Image, Snapshot
from annotator.selectors.runs import typed_training_images
from annotator.services.images import image_array, image_delete
from annotator.services.snapshots import (
    ARRAYS,
    MEASURED,
    snapshot_create,
    snapshot_folder,
    snapshot_folders_prune,
    snapshot_write,
)
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    pixels,
    square_labels,
)
from training.dataset import open_snapshot


class SnapshotTest(TestCase):
    def setUp(self) -> None:
        self.dataset: Dataset = make_dataset()
        self.folder = Path(self.enterContext(TemporaryDirectory())) / "snapshot"

    def masked(self, name: str = "", cells: int = 6, **options: Any) -> Image:
        image = make_image(self.dataset, name, **options)
        make_revision(image, labels=square_labels(cells))
        return image

    def written(self, family: str = Family.SEGMENTER) -> dict[str, Any]:
        snapshot = snapshot_create(dataset=self.dataset, family=family)
        snapshot_write(snapshot=snapshot, folder=self.folder)
        document: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return document

    def test_the_folder_holds_pixels_and_labels_as_they_are(self) -> None:
        image = self.masked(split="train")
        entry = self.written()["images"][0]
        np.testing.assert_array_equal(np.load(self.folder / entry["image"]), image_array(image))
        np.testing.assert_array_equal(np.load(self.folder / entry["labels"]), square_labels(6))
        self.assertEqual((entry["split"], entry["source"]), ("train", "revision"))

    def test_training_opens_what_was_written(self) -> None:
        self.masked(split="train")
        self.masked(split="test")
        self.written()
        opened = open_snapshot(self.folder)
        self.assertEqual(opened.channels, ("cytoplasm", "nucleus"))
        self.assertEqual(len(opened.split("train")), 1)
        self.assertEqual(len(opened.split("test")), 1)

    def test_images_with_nothing_complete_yet_are_left_out(self) -> None:
        image = self.masked(split="train")
        make_revision(image, labels=square_labels(7), complete_regions=[])
        self.masked(split="test", cells=8)
        image = self.masked("HEK_a_1.tif", split="test")
        make_revision(image, complete_regions=[])
        for family in Family.values:
            snapshot = snapshot_create(dataset=self.dataset, family=family)
            self.assertEqual([entry["cells"] for entry in snapshot.entries], [8])

    def test_images_imported_again_are_written_from_their_new_rows(self) -> None:
        self.masked(split="train", array=pixels(seed=1))
        first = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        stale = snapshot_write(snapshot=first, folder=self.folder)
        image_delete(image=self.dataset.images.get())
        image = self.masked(split="train", array=pixels(seed=1))
        again = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        self.assertEqual(again, first)
        for folder in (stale, stale.with_name("elsewhere")):
            (entry,) = open_snapshot(snapshot_write(snapshot=again, folder=folder)).images
            self.assertEqual(entry.id, str(image.pk))

    def test_one_split_can_be_written_alone(self) -> None:
        self.masked(split="train")
        self.masked("measures.tif", split="test")
        snapshot = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        snapshot_write(snapshot=snapshot, folder=self.folder, split="test")
        self.assertEqual(
            [image.name for image in open_snapshot(self.folder).images], ["measures.tif"]
        )
        self.assertEqual(len(list((self.folder / "images").iterdir())), 1)

    def test_a_later_snapshot_reads_only_what_is_new_and_nothing_unused_stays(self) -> None:
        shared = Path(settings.SNAPSHOTS_DIR) / ARRAYS
        shutil.rmtree(shared, ignore_errors=True)
        self.masked("first.tif", split="train")
        family = Family.SEGMENTER
        first = snapshot_create(dataset=self.dataset, family=family)
        snapshot_write(snapshot=first)
        self.masked("second.tif", split="train", array=np.ones((2, 48, 64), np.uint16))
        second = snapshot_create(dataset=self.dataset, family=family)
        read = "annotator.services.snapshots.image_array"
        with mock.patch(read, wraps=image_array) as reading:
            snapshot_write(snapshot=second)
        self.assertEqual([call.args[0].name for call in reading.call_args_list], ["second.tif"])
        self.assertEqual(len(list(shared.iterdir())), 4 - 1)  # the masks of both are equal
        for snapshot in (first, second):
            shutil.rmtree(snapshot_folder(snapshot))
        snapshot_folders_prune()
        self.assertEqual(len(list(shared.iterdir())), 3, "a snapshot may be about to use them")
        for file in shared.iterdir():
            os.utime(file, (time.time() - 90_000,) * 2)
        snapshot_folders_prune()
        self.assertEqual(list(shared.iterdir()), [])

    def test_only_what_a_killed_evaluation_left_long_ago_is_removed(self) -> None:
        place = Path(settings.SNAPSHOTS_DIR) / MEASURED
        for name, age in (("left", 90_000), ("read", 60)):
            (place / name).mkdir(parents=True, exist_ok=True)
            os.utime(place / name, (time.time() - age,) * 2)
        snapshot_folders_prune()
        self.assertEqual([folder.name for folder in place.iterdir()], ["read"])
        shutil.rmtree(place)

    def test_the_same_state_is_the_same_snapshot(self) -> None:
        self.masked(split="train")
        first = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        again = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        self.assertEqual(first, again)
        self.assertEqual(Snapshot.objects.count(), 1)

    def test_a_new_revision_makes_another_snapshot(self) -> None:
        image = self.masked(split="train")
        first = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        make_revision(image, labels=square_labels(7))
        second = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        self.assertNotEqual(first.hash, second.hash)

    def test_a_retyped_cell_makes_another_snapshot(self) -> None:
        image = self.masked("mixed_a_1.tif", split="train", culture="mixed")
        first = snapshot_create(dataset=self.dataset, family=Family.DETECTOR)
        make_revision(image, labels=square_labels(6), types={1: "HEK"})
        second = snapshot_create(dataset=self.dataset, family=Family.DETECTOR)
        self.assertNotEqual(first.hash, second.hash)

    def test_training_images_with_fewer_than_five_masks_are_named_and_skipped(self) -> None:
        self.masked("few.tif", cells=4, split="train")
        self.masked("enough.tif", cells=5, split="train")
        self.masked("measures.tif", cells=1, split="test")
        snapshot = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        self.assertEqual(snapshot.counts["skipped"], ["few.tif"])
        self.assertEqual(snapshot.counts["train"], {"images": 1, "cells": 5})
        self.assertEqual(snapshot.counts["test"], {"images": 1, "cells": 1})

    def test_a_segmenter_learns_from_people_only(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        make_prediction(image, make_version(self.dataset))
        self.assertEqual(self.written(Family.SEGMENTER)["images"], [])

    def test_a_detector_learns_types_of_single_type_images_from_their_names(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        make_prediction(image, make_version(self.dataset))
        document = self.written(Family.DETECTOR)
        entry = document["images"][0]
        self.assertEqual(document["types"], ["HEK", "N2a"])
        self.assertEqual(entry["source"], "prediction")
        self.assertEqual(entry["cell_types"], {"1": "HEK", "2": "HEK", "3": "HEK"})

    def test_an_image_of_which_nothing_is_complete_still_teaches_by_its_name(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        prediction = make_prediction(image, make_version(self.dataset))
        make_revision(image, complete_regions=[[0, 0, 9, 9]])
        self.assertEqual(self.written(Family.DETECTOR)["images"][0]["source"], "revision")
        make_revision(image, labels=square_labels(7), complete_regions=[])  # as undone
        self.assertEqual(typed_training_images(self.dataset), 1)
        snapshot = snapshot_create(dataset=self.dataset, family=Family.DETECTOR)
        (entry,) = snapshot.entries
        self.assertEqual((entry["prediction"], entry["cells"]), (prediction.pk, 3))

    def test_cells_of_which_nobody_said_anything_are_not_counted(self) -> None:
        image = make_image(self.dataset, split="train")
        make_revision(image, labels=square_labels(6), complete_regions=[[0, 0, 15, 9]])
        snapshot = snapshot_create(dataset=self.dataset, family=Family.SEGMENTER)
        self.assertEqual(snapshot.counts["train"], {"images": 1, "cells": 2})
        self.assertEqual(snapshot.counts["skipped"], [])

    def test_a_detector_learns_nothing_from_predictions_on_mixed_or_test_images(self) -> None:
        version = make_version(self.dataset)
        make_prediction(make_image(self.dataset, "mixed_a_1.tif", culture="mixed"), version)
        make_prediction(make_image(self.dataset, "HEK_a_2.tif", split="test"), version)
        self.assertEqual(self.written(Family.DETECTOR)["images"], [])

    def test_a_persons_type_wins_over_the_file_name(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        make_revision(image, types={1: "N2a"})
        entry = self.written(Family.DETECTOR)["images"][0]
        self.assertEqual(entry["cell_types"], {"1": "N2a", "2": "HEK", "3": "HEK"})

    def test_a_half_written_folder_is_completed(self) -> None:
        self.masked(split="train")
        self.written()
        entry = json.loads((self.folder / "manifest.json").read_text())["images"][0]
        (self.folder / "manifest.json").unlink()
        (self.folder / entry["labels"]).write_bytes(b"half")
        self.written()
        np.testing.assert_array_equal(np.load(self.folder / entry["labels"]), square_labels(6))

    def test_an_old_snapshot_is_written_again_after_its_predictions_are_gone(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", split="train")
        prediction = make_prediction(image, make_version(self.dataset))
        snapshot = snapshot_create(dataset=self.dataset, family=Family.DETECTOR)
        prediction.delete()
        snapshot_write(snapshot=snapshot, folder=self.folder)
        self.assertEqual(len(open_snapshot(self.folder).split("train")), 1)

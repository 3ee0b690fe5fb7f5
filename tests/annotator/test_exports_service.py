"""Exports: files that other tools load."""

from __future__ import annotations

import csv
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import TestCase
from pycocotools.coco import COCO

from annotator import storage
from annotator.exceptions import BadInput, NotReady
from annotator.formats.coco import encode_rle
from annotator.formats.tables import measure
from annotator.models import CellType, PredictedCell
from annotator.services.exports import ExportRequest, export_write
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)


class ExportCase(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.out = Path(self.enterContext(TemporaryDirectory())) / "out"

    def write(self, format: str, **options: Any) -> Path:
        request = ExportRequest(self.dataset, format, **options)
        return export_write(request=request, out=self.out).path


class CocoTest(ExportCase):
    def load(self, **options: Any) -> COCO:
        file = self.write("coco", **options) / "annotations.json"
        with redirect_stdout(StringIO()):
            return COCO(str(file))

    def test_masks_boxes_and_categories_survive_pycocotools(self) -> None:
        image = make_image(self.dataset, "mixed_a_1.tif", culture="mixed")
        labels = square_labels(3)
        labels[20:40, 60:64] = 9  # touches the right edge
        labels[46:48, 0:3] = 10  # and the bottom
        make_revision(image, labels=labels, types={1: "HEK", 2: "N2a", 9: "HEK", 10: "N2a"})
        coco = self.load()
        annotations = coco.loadAnns(coco.getAnnIds())
        self.assertEqual([a["id"] for a in annotations], [1, 2, 3, 4, 5])
        for annotation in annotations:
            mask = labels == annotation["label"]
            np.testing.assert_array_equal(coco.annToMask(annotation), mask)
            ys, xs = np.nonzero(mask)
            box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            self.assertEqual(annotation["bbox"], [int(edge) for edge in box])
            self.assertEqual(annotation["area"], mask.sum())
            self.assertEqual(annotation["iscrowd"], 0)
        names = {row["id"]: row["name"] for row in coco.loadCats(coco.getCatIds())}
        self.assertEqual(names, {1: "HEK", 2: "N2a", 3: "cell"})
        self.assertEqual([names[a["category_id"]] for a in annotations][2], "cell")

    def test_predictions_carry_scores(self) -> None:
        image = make_image(self.dataset)
        prediction = make_prediction(image, make_version(self.dataset), square_labels(1))
        hek = CellType.objects.get(dataset=self.dataset, name="HEK")
        PredictedCell.objects.create(
            prediction=prediction,
            label=1,
            type=hek,
            score=0.75,
            uncertainty=0.25,
            bbox=[0, 0, 8, 8],
            area=64,
            centroid=[3.5, 3.5],
        )
        coco = self.load(source="predictions")
        self.assertEqual(coco.loadAnns([1])[0]["score"], 0.75)

    def test_without_a_detector_the_file_name_gives_predicted_cells_their_type(self) -> None:
        image = make_image(self.dataset, "HEK_a_1.tif", culture="HEK")
        prediction = make_prediction(image, make_version(self.dataset), square_labels(1))
        where = {"bbox": [0, 0, 8, 8], "area": 64, "centroid": [3.5, 3.5]}
        PredictedCell.objects.create(
            prediction=prediction, label=1, score=0.75, uncertainty=0.25, **where
        )
        coco = self.load(source="predictions")
        self.assertEqual(coco.loadCats(coco.loadAnns([1])[0]["category_id"])[0]["name"], "HEK")

    def test_a_json_file_may_be_named(self) -> None:
        make_revision(make_image(self.dataset))
        self.out = self.out.with_suffix(".json")
        self.assertEqual(self.write("coco"), self.out)
        self.assertEqual(len(json.loads(self.out.read_text())["images"]), 1)

    def test_rle_equals_pycocotools_own_for_any_shape(self) -> None:
        from pycocotools import mask as coco_mask

        rng = np.random.default_rng(0)
        for shape in ((7, 5), (1, 9), (9, 1), (33, 40)):
            whole = rng.random(shape) < 0.5
            whole[:, 0] = True  # a whole column, so that runs join over the bottom
            ours = encode_rle(whole, (0, 0), shape)
            theirs = coco_mask.encode(np.asfortranarray(whole.astype(np.uint8)))
            self.assertEqual(ours["counts"], theirs["counts"].decode())


class CellposeTest(ExportCase):
    def test_labels_are_written_under_cellposes_names(self) -> None:
        make_revision(make_image(self.dataset, "HEK_a_1.tif"))
        self.write("cellpose")
        written = tifffile.imread(self.out / "HEK_a_1_masks.tif")
        self.assertEqual(written.dtype, np.uint16)
        np.testing.assert_array_equal(written, square_labels(3))

    def test_more_labels_than_16_bits_hold_are_written_as_32(self) -> None:
        labels = square_labels(2).astype(np.uint32)
        labels[labels == 2] = 70_000
        make_revision(make_image(self.dataset, "big.tif"), labels=labels)
        self.write("cellpose")
        written = tifffile.imread(self.out / "big_masks.tif")
        self.assertEqual((written.dtype, written.max()), (np.uint32, 70_000))

    def test_images_of_one_name_get_two_files(self) -> None:
        first, second = make_image(self.dataset, "a.tif"), make_image(self.dataset, "A.png")
        make_revision(first)
        make_revision(second)
        self.write("cellpose")
        names = {path.name for path in self.out.glob("*_masks.tif")}
        self.assertEqual(names, {"a_masks.tif", f"A_{second.pk}_masks.tif"})

    def test_a_name_is_kept_when_its_twin_is_not_exported(self) -> None:
        make_revision(make_image(self.dataset, "a.tif", split="train"))
        make_revision(make_image(self.dataset, "a.png", split="test"))
        self.write("cellpose", split="test")
        self.assertEqual([path.name for path in self.out.iterdir()], ["a_masks.tif"])

    def test_what_was_exported_can_be_imported_again(self) -> None:
        image = make_image(self.dataset, "mixed_a_1.tif", culture="mixed")
        make_revision(image, types={1: "HEK", 2: "N2a"})
        self.write("cellpose")
        (self.out / "mixed_a_1.tif").write_bytes(storage.get(image.key))
        other = make_dataset("other")
        call_command("images_import", "other", str(self.out), stdout=StringIO())
        cells = other.images.get().revisions.get().cells.all()
        types = {cell.label: cell.type.name if cell.type else None for cell in cells}
        self.assertEqual(types, {1: "HEK", 2: "N2a", 3: None})


class TablesTest(ExportCase):
    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def test_each_cell_is_measured_on_the_original_intensities(self) -> None:
        pixels = np.zeros((2, 48, 64), np.uint16)
        pixels[0, :8, :8] = 100
        pixels[1, :8, :4] = 60_000
        image = make_image(self.dataset, "HEK_a_1.tif", pixels)
        image.pixel_size_um = 0.5
        image.save()
        make_revision(image)
        self.write("csv")
        first = self.rows("cells.csv")[0]
        expected = {
            "image": "HEK_a_1.tif",
            "label": "1",
            "type": "HEK",
            "culture": "HEK",
            "area_px": "64",
            "area_um2": "16.0",
            "centroid_x": "3.5",
            "bbox_x1": "8",
            "mean_cytoplasm": "100.0",
            "integrated_cytoplasm": "6400.0",
            "mean_nucleus": "30000.0",
        }
        self.assertEqual({key: first[key] for key in expected}, expected)

    def test_each_image_is_counted_by_type(self) -> None:
        image = make_image(self.dataset, "mixed_a_1.tif", culture="mixed")
        make_revision(image, types={1: "HEK", 2: "N2a"})
        self.write("csv")
        row = self.rows("images.csv")[0]
        self.assertEqual((row["cells"], row["untyped"]), ("3", "1"))
        self.assertEqual((row["cells_HEK"], row["share_N2a"]), ("1", "0.5"))

    def test_eccentricity_tells_a_square_from_a_line(self) -> None:
        labels = np.zeros((32, 32), np.uint16)
        labels[2:12, 2:12] = 1
        labels[20:22, 1:31] = 2
        measured = measure(labels, np.ones((1, 32, 32)))
        self.assertAlmostEqual(measured.eccentricity[0], 0.0, places=6)
        # Variances of a 30 × 2 box: 30² / 12 and 2² / 12.
        self.assertAlmostEqual(measured.eccentricity[1], (1 - 4 / 900) ** 0.5, places=6)

    def test_an_image_without_cells_is_a_row_of_zeros(self) -> None:
        make_revision(make_image(self.dataset), labels=np.zeros((48, 64), np.uint16))
        self.write("csv")
        self.assertEqual(self.rows("cells.csv"), [])
        self.assertEqual(self.rows("images.csv")[0]["cells"], "0")


class AskingTest(ExportCase):
    def test_it_rejects_what_there_is_not(self) -> None:
        with self.assertRaisesMessage(BadInput, "no format 'yolo'"):
            self.write("yolo")
        with self.assertRaisesMessage(NotReady, "no revisions to export"):
            self.write("coco")

    def test_the_command_writes_one_split_and_counts(self) -> None:
        make_revision(make_image(self.dataset, split="test"))
        make_revision(make_image(self.dataset, split="train"))
        name = self.dataset.name
        out = StringIO()
        call_command(
            "annotations_export", name, "coco", str(self.out), split="test", json=True, stdout=out
        )
        path = str(self.out)
        self.assertEqual(json.loads(out.getvalue()), {"images": 1, "cells": 3, "path": path})
        self.assertEqual(len(json.loads((self.out / "annotations.json").read_text())["images"]), 1)

    def test_the_command_says_what_is_missing(self) -> None:
        with self.assertRaisesMessage(CommandError, "no predictions to export"):
            call_command(
                "annotations_export", self.dataset.name, "csv", str(self.out), source="predictions"
            )

    def test_a_name_as_long_as_file_systems_take_does_not_break_the_export(self) -> None:
        image = make_image(self.dataset, "HEK_b1_1.tif")
        image.name = "HEK_b1_" + "細胞" * 40 + ".tif"
        image.save()
        make_revision(image)
        export_write(request=ExportRequest(self.dataset, "cellpose"), out=self.out)
        (written,) = self.out.glob("*_masks.tif")
        self.assertIn(f"_{image.pk}_masks", written.name)

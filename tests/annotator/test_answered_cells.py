"""Images of which people have answered for a part: what counts and is exported as corrected."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tifffile
from django.test import TestCase

from annotator.exceptions import NotReady
from annotator.selectors.composition import composition
from annotator.services.exports import ExportRequest, export_write
from tests.annotator.factories import make_dataset, make_image, make_revision, square_labels


class AnsweredCellsTest(TestCase):
    """A whole image of three cells, and one of which the second cell alone was answered for."""

    def setUp(self) -> None:
        self.dataset = make_dataset()
        types: dict[int, str | None] = {1: "HEK", 2: "N2a", 3: None}
        self.whole = make_image(self.dataset, "whole.tif")
        make_revision(self.whole, types=types)
        self.part = make_image(self.dataset, "part.tif")
        at = square_labels(3) == 2
        y, x = at.any(axis=1).nonzero()[0], at.any(axis=0).nonzero()[0]
        box = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
        make_revision(self.part, types=types, complete_regions=[box])
        self.out = Path(self.enterContext(TemporaryDirectory())) / "out"

    def write(self, format: str) -> Path:
        return export_write(request=ExportRequest(self.dataset, format), out=self.out).path

    def test_the_composition_counts_what_people_vouch_for(self) -> None:
        found = composition(self.dataset)
        self.assertEqual((found["images"], found["cells"], found["untyped"]), (2, 4, 1))
        self.assertEqual([each["cells"] for each in found["types"]], [1, 2])
        rows: dict[str, Any] = {row["name"]: row for row in found["per_image"]}
        self.assertEqual(rows["part.tif"]["types"], {"HEK": 0, "N2a": 1})

    def test_exports_hold_what_people_vouch_for_and_say_where_that_is_not_all(self) -> None:
        made = json.loads((self.write("coco") / "annotations.json").read_text())
        complete = {image["file_name"]: image["complete"] for image in made["images"]}
        self.assertEqual(complete, {"whole.tif": "yes", "part.tif": "in parts"})
        self.assertEqual(len(made["annotations"]), 4)

    def test_masks_of_a_part_hold_its_cells_alone(self) -> None:
        folder = self.write("cellpose")
        self.assertTrue((folder / "whole_masks.tif").is_file())
        # Not among those that a training may take for whole ones.
        masks = folder / "in_parts" / "part_masks.tif"
        self.assertEqual([*folder.rglob("part_*.tif")], [masks])
        self.assertEqual([*folder.rglob("part_types.csv")], [masks.with_name("part_types.csv")])
        self.assertEqual(set(tifffile.imread(masks).ravel().tolist()), {0, 2})

    def test_an_export_before_leaves_no_mask_among_the_whole_ones(self) -> None:
        folder = self.write("cellpose")
        for name in ("part_masks.tif", "part_types.csv"):
            (folder / name).write_bytes(b"of an export before")
        (folder / "in_parts" / "whole_masks.tif").write_bytes(b"likewise")
        self.write("cellpose")
        names = {str(file.relative_to(folder)) for file in folder.rglob("*_*.*")}
        kinds = ("_masks.tif", "_types.csv")
        wanted = {f"{stem}{kind}" for stem in ("whole", "in_parts/part") for kind in kinds}
        self.assertEqual(names, wanted)

    def test_tables_say_it_in_a_column(self) -> None:
        folder = self.write("csv")
        rows = list(csv.DictReader((folder / "cells.csv").open()))
        told = {(row["image"], row["complete"]) for row in rows}
        self.assertEqual(told, {("whole.tif", "yes"), ("part.tif", "in parts")})
        self.assertEqual(len(rows), 4)

    def test_what_is_complete_nowhere_is_no_correction(self) -> None:
        self.whole.delete()
        self.part.delete()
        make_revision(make_image(self.dataset, "typed.tif"), complete_regions=[])
        self.assertEqual(composition(self.dataset)["images"], 0)
        with self.assertRaises(NotReady):
            self.write("coco")

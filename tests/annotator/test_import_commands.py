"""dataset_create and images_import, as typed in a terminal."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command
from django.test import TestCase

from annotator.models import Dataset, Image, Revision
from tests.annotator.factories import make_dataset, pixels, square_labels, tiff_bytes
from tests.people import make_people


def run(*arguments: str) -> tuple[dict[str, Any], str]:
    """The JSON on the last line, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


class DatasetCreate(TestCase):
    def test_it_makes_a_data_set(self) -> None:
        made, _ = run(
            "dataset_create", "cells", "--channels=-,cytoplasm,nucleus", "--types", "HEK,N2a"
        )
        dataset = Dataset.objects.get(name="cells")
        self.assertEqual(made["id"], dataset.pk)
        self.assertEqual(dataset.channels, ["-", "cytoplasm", "nucleus"])
        self.assertEqual(list(dataset.types.values_list("name", flat=True)), ["HEK", "N2a"])

    def test_it_fails_with_a_sentence(self) -> None:
        make_dataset("cells")
        for arguments in (
            ("cells",),
            ("a b",),
            ("new", "--types", "mixed"),
            ("new", "--channels", "x"),
        ):
            with self.assertRaises(CommandError):
                call_command("dataset_create", *arguments)


class ImagesImport(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset("cells")
        self.people = make_people(self.dataset)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def test_it_imports_a_folder_with_its_folders(self) -> None:
        self.write("HEK_b1_1.tif", tiff_bytes(pixels()))
        self.write("HEK_b1_1_masks.tif", tiff_bytes(square_labels()))
        self.write("deep/er/N2a_b1_1.tif", tiff_bytes(pixels()))
        self.write("deep/er/bad.png", b"text")
        self.write("README.md", b"left alone")
        arguments = (
            "images_import",
            "cells",
            str(self.folder),
            "--annotator",
            "bob",
            "--split",
            "test",
        )
        found, stderr = run(*arguments)
        counts = {key: found[key] for key in ("imported", "duplicates", "revisions")}
        self.assertEqual(counts, {"imported": 2, "duplicates": 0, "revisions": 1})
        self.assertEqual([row["file"] for row in found["failed"]], ["deep/er/bad.png"])
        self.assertIn("bad.png", stderr)
        self.assertEqual(Revision.objects.get().author, self.people.bob)
        self.assertEqual(set(Image.objects.values_list("split", flat=True)), {"test"})
        again, _ = run(*arguments)
        self.assertEqual((again["imported"], again["duplicates"], again["revisions"]), (0, 2, 0))

    def test_it_fails_when_nothing_could_be_imported(self) -> None:
        for arguments in (
            ("cells", str(self.folder / "nowhere")),
            ("cells", str(self.folder)),
            ("nowhere", str(self.folder)),
        ):
            with self.assertRaises(CommandError):
                call_command("images_import", *arguments)
        self.write("bad.png", b"text")
        with self.assertRaises(CommandError):
            call_command(
                "images_import",
                "cells",
                str(self.folder),
                stderr=io.StringIO(),
                stdout=io.StringIO(),
            )
        self.write("ok.tif", tiff_bytes(pixels()))
        for options in (("--annotator", "zoe"), ("--culture", "CHO")):
            with self.assertRaises(CommandError):
                call_command("images_import", "cells", str(self.folder), *options)
        self.assertFalse(Image.objects.exists())

"""dataset_create and images_import, as typed in a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.management import CommandError, ManagementUtility, call_command
from django.db import OperationalError
from django.test import SimpleTestCase, TestCase

from annotator.management.commands.images_import import files_of
from annotator.models import Dataset, Image, Revision
from annotator.services.imports import ImportFile
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

    def test_a_first_channel_that_is_ignored_needs_no_equals_sign(self) -> None:
        channels = ["-", "cytoplasm", "nucleus"]
        run("dataset_create", "called", "--channels", "-,cytoplasm,nucleus", "--types", "HEK")
        self.assertEqual(Dataset.objects.get(name="called").channels, channels)
        typed = "manage.py dataset_create typed --types HEK --channels -,cytoplasm,nucleus"
        kept = mock.patch("django.core.management.base.connections.close_all")  # the test's own
        with kept, mock.patch("sys.stdout", io.StringIO()):
            ManagementUtility(typed.split()).execute()
        self.assertEqual(Dataset.objects.get(name="typed").channels, channels)

    def test_an_option_that_does_not_exist_is_still_refused(self) -> None:
        with self.assertRaisesMessage(CommandError, "--colour"):
            call_command("dataset_create", "cells", "--colour", "red")

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

    def test_a_name_in_another_encoding_is_imported_under_a_readable_one(self) -> None:
        raw = os.path.join(os.fsencode(self.folder), b"HEK_b\xff_1.tif")
        with open(raw, "wb") as file:
            file.write(tiff_bytes(pixels()))
        found, _ = run("images_import", "cells", str(self.folder))
        self.assertEqual((found["imported"], found["failed"]), (1, []))
        self.assertEqual(Image.objects.get().name, "HEK_b\ufffd_1.tif")

    def test_files_that_vanish_or_are_too_large_do_not_stop_the_others(self) -> None:
        for name in ("a.tif", "b.tif", "c.tif"):
            self.write(name, tiff_bytes(pixels()))
        (self.folder / "c.tif").unlink()
        (self.folder / "c.tif").symlink_to(self.folder / "a.tif")
        files = files_of(self.folder)
        (self.folder / "b.tif").unlink()
        with open(self.folder / "a.tif", "r+b") as file:
            file.truncate(1000 * 2**20)  # a hole: it takes no room on the disk
        path = "annotator.management.commands.images_import.files_of"
        with mock.patch(path, return_value=[*files, *_written(self.folder / "d.tif")]):
            found, stderr = run("images_import", "cells", str(self.folder))
        self.assertEqual(found["imported"], 1)
        self.assertEqual([row["file"] for row in found["failed"]], ["a.tif", "b.tif", "c.tif"])
        self.assertIn("b.tif cannot be read: No such file", stderr)
        self.assertIn("UPLOAD_MAX_MB", stderr)

    def test_a_database_that_cannot_be_used_is_one_sentence(self) -> None:
        broken = mock.patch(
            "annotator.management.base.Dataset.objects.filter",
            side_effect=OperationalError("no such table: annotator_dataset"),
        )
        for arguments in (("images_import", "cells", str(self.folder)), ("queue_show", "cells")):
            with broken, self.assertRaisesMessage(CommandError, "migrate"):
                call_command(*arguments)

    def test_a_name_that_is_no_text_is_no_data_set(self) -> None:
        for arguments in (("queue_show",), ("images_predict",), ("images_import", "/tmp")):
            command, *others = arguments
            with self.assertRaisesMessage(CommandError, "There is no data set"):
                call_command(command, "cells\udcff", *others)


def _written(path: Path) -> list[ImportFile]:
    path.write_bytes(tiff_bytes(pixels()))
    return [file for file in files_of(path.parent) if file.name == path.name]


class Settings(SimpleTestCase):
    def test_a_wrong_setting_stops_the_start_with_a_sentence(self) -> None:
        for name, value in (
            ("BEAT_SECONDS", "soon"),
            ("DATABASE_URL", "nonsense"),
            ("CYTOLOOP_VAR", "/dev/null/var"),
        ):
            done = subprocess.run(
                [sys.executable, "manage.py", "queue_show", "cells"],
                cwd=settings.BASE_DIR,
                env={"CYTOLOOP_VAR": str(settings.VAR_DIR), "PATH": os.environ["PATH"]}
                | {name: value},
                capture_output=True,
                text=True,
                check=False,
            )
            with self.subTest(name):
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertTrue(done.stderr.startswith(name), done.stderr)
                self.assertNotIn("Traceback", done.stderr)

"""The demo data set: seeded whole, also after an interruption, and left alone from then on."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import SimpleTestCase, TestCase, override_settings

from annotator.exceptions import Unavailable
from annotator.management.commands import demo_seed
from annotator.models import Dataset, Image, Membership, Revision
from annotator.services.images import image_delete
from tests.annotator.factories import make_dataset

PARTS = (
    ("train", "train", {"HEK": 2, "mixed": 1}, {"HEK": 1, "mixed": 0}),
    ("test", "test", {"N2a": 1}, None),
)
LABELS = "annotator.services.imports.revision_submit"


class DemoSeed(TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(VAR_DIR=folder))
        self.enterContext(mock.patch.object(demo_seed, "PARTS", PARTS))

    def seed(self) -> str:
        out = io.StringIO()
        call_command("demo_seed", stdout=out, stderr=io.StringIO())
        return out.getvalue()

    def whole(self) -> None:
        dataset = Dataset.objects.get()
        self.assertEqual(dataset.training, demo_seed.TRAINING)
        self.assertEqual(Membership.objects.get(dataset=dataset).user.get_username(), "demo")
        splits = sorted(dataset.images.values_list("split", flat=True))
        self.assertEqual(splits, ["test", "train", "train", "train"])
        self.assertEqual(Revision.objects.count(), 2)

    def test_it_fills_an_empty_database_and_says_where_to_sign_in(self) -> None:
        self.assertIn("Sign in as demo with the password", self.seed())
        self.whole()

    def test_what_cut_the_first_start_off_is_made_up_for_by_the_next(self) -> None:
        real = demo_seed.images_import

        def second_part(**given: Any) -> Any:
            if given["split"] == "test":
                raise KeyboardInterrupt
            return real(**given)

        for name, broken in (
            ("the first image", mock.patch.object(demo_seed, "_write_part", side_effect=OSError)),
            ("the second part", mock.patch.object(demo_seed, "images_import", second_part)),
            ("masks", mock.patch(LABELS, side_effect=KeyboardInterrupt)),
        ):
            with self.subTest(name):
                with broken, self.assertRaises((KeyboardInterrupt, OSError)):
                    self.seed()
                self.assertTrue(Dataset.objects.get().training["bootstrap"])
                self.seed()
                self.whole()
                Dataset.objects.all().delete()

    def test_storage_that_was_down_is_made_up_for_too(self) -> None:
        down = mock.patch("annotator.storage.put", side_effect=Unavailable("down"))
        with down, self.assertRaisesMessage(CommandError, "down"):
            self.seed()
        with mock.patch(LABELS, side_effect=Unavailable("down")):
            self.seed()
        self.seed()
        self.whole()

    def test_an_image_that_somebody_deleted_does_not_come_back(self) -> None:
        self.seed()
        image_delete(image=Image.objects.all()[0])
        self.seed()
        self.assertEqual(Image.objects.count(), 3)

    def test_settings_that_somebody_changed_stay(self) -> None:
        self.seed()
        Dataset.objects.update(training={})
        self.seed()
        self.assertEqual(Dataset.objects.get().training, {})

    def test_a_lab_with_its_own_data_set_gets_no_demo(self) -> None:
        make_dataset("lab")
        self.seed()
        self.assertFalse(Image.objects.exists())


class DemoInWords(SimpleTestCase):
    def test_the_readme_counts_the_images_as_they_are(self) -> None:
        images, masked = {}, {}
        for _, split, counts, with_masks in demo_seed.PARTS:
            images[split] = sum(counts.values())
            masked[split] = sum((counts if with_masks is None else with_masks).values())
        measuring = masked["validation"] + masked["test"]
        readme = " ".join((settings.BASE_DIR / "README.md").read_text().split())
        self.assertIn(
            f"makes {sum(images.values())} synthetic images, {sum(masked.values())} with masks"
            f" ({masked['train']} to learn from, {measuring} to validate and test)",
            readme,
        )

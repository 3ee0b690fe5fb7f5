"""Before a training starts, it says what it would learn from and what speaks against it."""

from __future__ import annotations

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from annotator.models import Image, Stage
from annotator.services.runs import RunRequest, run_create
from inference.builtin import licence_of
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import client_of, make_people


class PreflightTest(TestCase):
    def setUp(self):
        self.dataset = make_dataset(types=["HEK", "N2a"])
        self.people = make_people(self.dataset)

    def asked(self, family="detector", who=None, **query):
        query = {"dataset": self.dataset.pk, "family": family, **query}
        client = client_of(who or self.people.vera)
        return client.get("/api/v1/training-runs/preflight/", query)

    def test_a_data_set_without_labels_is_refused_with_what_to_do(self):
        found = self.asked("segmenter").json()
        self.assertFalse(found["ready"])
        self.assertIn("correct some images of the queue", found["problems"][0])

    def test_it_counts_images_cells_and_types_and_names_what_is_skipped(self):
        typed = {1: "HEK", 2: "N2a", 3: "N2a"}
        first = make_image(self.dataset, split="train")
        make_revision(first, labels=square_labels(6), types=typed)
        make_revision(make_image(self.dataset, split="test"), labels=square_labels(8))
        few = make_image(self.dataset, split="train", name="few.tif")
        make_revision(few, labels=square_labels(3))
        found = self.asked("segmenter").json()
        self.assertTrue(found["ready"])
        self.assertEqual(found["images"], {"train": 1, "validation": 0, "test": 1})
        self.assertEqual(found["cells"], {"train": 6, "validation": 0, "test": 8})
        self.assertEqual(found["cells_per_image"], {"least": 6, "median": 6, "most": 6})
        self.assertEqual(found["skipped"], ["few.tif"])
        self.assertTrue(any("few.tif" in text for text in found["warnings"]))
        self.assertGreater(found["memory_mb"], 1000)
        types = self.asked("detector").json()["cells_per_type"]
        self.assertEqual(types, {"HEK": 1, "N2a": 2})

    def test_cells_outside_complete_regions_do_not_count(self):
        labels = square_labels(8)
        half = [0, 0, labels.shape[1] // 2, labels.shape[0]]
        inside = set(labels[:, : half[2]].ravel().tolist()) - {0}
        self.assertTrue(0 < len(inside) < 8)
        types = dict.fromkeys(range(1, 9), "HEK")
        image = make_image(self.dataset, split="train")
        make_revision(image, labels=labels, types=types, complete_regions=[half])
        found = self.asked("detector").json()
        self.assertEqual(found["cells"]["train"], len(inside))
        self.assertEqual(found["cells_per_type"], {"HEK": len(inside), "N2a": 0})

    def test_cells_of_whole_images_are_counted_and_not_read(self):
        for _ in range(2):
            types = {1: "HEK", 2: "N2a", 3: "N2a"}
            image = make_image(self.dataset, split="train")
            make_revision(image, labels=square_labels(6), types=types)
        with CaptureQueriesContext(connection) as queries:
            found = self.asked("detector").json()
        self.assertEqual(found["cells_per_type"], {"HEK": 2, "N2a": 4})
        self.assertFalse([query for query in queries if "bbox" in query["sql"]])

    def test_predicted_cells_of_a_single_type_image_count_as_that_type(self):
        image = make_image(self.dataset, split="train", culture="HEK")
        segmenter = make_version(self.dataset, "segmenter", stage=Stage.CURRENT)
        make_prediction(image, segmenter=segmenter, labels=square_labels(7))
        found = self.asked("detector").json()
        self.assertEqual(found["cells_per_type"], {"HEK": 7, "N2a": 0})
        self.assertEqual(found["weak_images"], 1)
        self.assertTrue(any("N2a (0)" in text for text in found["warnings"]))

    def test_a_group_in_two_splits_is_named(self):
        for split in ("train", "test"):
            image = make_image(self.dataset, split=split)
            make_revision(image, labels=square_labels(6))
        Image.objects.update(group="batch 7")
        warnings = self.asked("segmenter").json()["warnings"]
        self.assertTrue(any("batch 7 has images in more than one split" in w for w in warnings))

    def test_published_weights_come_with_their_licence_before_they_are_downloaded(self):
        found = self.asked("segmenter").json()
        self.assertEqual((found["start"], found["licence"]), ("cyto3", licence_of("cyto3")))
        self.assertEqual(self.asked("segmenter", base="nuclei").json()["start"], "nuclei")
        self.assertIn("COCO", self.asked("detector", base="coco").json()["licence"])
        self.assertEqual(self.asked("segmenter", base="scratch").json()["licence"], "")
        version = make_version(self.dataset, "segmenter")
        self.assertEqual(self.asked("segmenter", base=version.version).json()["licence"], "")

    def test_bad_questions_and_strangers_are_refused(self):
        self.assertEqual(self.asked("dog").status_code, 400)
        self.assertEqual(self.asked("segmenter", base="segmenter-9").status_code, 404)
        self.assertEqual(self.asked(dataset="x").status_code, 404)
        self.assertEqual(self.asked("segmenter", who=self.people.charlie).status_code, 404)


class StartTest(TestCase):
    """From where a run starts when nobody says, and when somebody does."""

    def setUp(self):
        self.dataset = make_dataset()
        make_revision(make_image(self.dataset, split="train"), labels=square_labels(6))

    def run_from(self, base=None):
        run = run_create(request=RunRequest(self.dataset, "segmenter", "test", base=base))
        run.delete()
        return run

    def version(self, **fields):
        return make_version(self.dataset, "segmenter", **fields)

    def test_retraining_starts_where_the_first_version_did_not_from_the_newest(self):
        first = self.version(stage=Stage.RETIRED)
        made = run_create(request=RunRequest(self.dataset, "segmenter", "test", base="scratch"))
        made.candidate, made.status = first, "done"
        made.save()
        self.version(parent=first, stage=Stage.CURRENT)
        run = self.run_from()
        self.assertEqual((run.base, run.config["start"]), (None, "scratch"))

    def test_retraining_imported_weights_starts_from_these(self):
        imported = self.version(stage=Stage.RETIRED)
        self.version(parent=imported, stage=Stage.CURRENT)
        self.assertEqual(self.run_from().base, imported)

    def test_a_start_among_the_settings_asked_for_wins(self):
        self.version(stage=Stage.CURRENT)
        request = RunRequest(self.dataset, "segmenter", "test", config={"start": "scratch"})
        run = run_create(request=request)
        self.assertEqual((run.base, run.config["start"]), (None, "scratch"))

    def test_continuing_from_the_current_version_is_a_choice(self):
        with self.assertRaisesMessage(Exception, "has no current segmenter to continue from"):
            self.run_from("current")
        imported = self.version(stage=Stage.RETIRED)
        newest = self.version(parent=imported, stage=Stage.CURRENT)
        self.assertEqual(self.run_from("current").base, newest)
        self.assertEqual(self.run_from(imported.version).base, imported)

"""Folders as labs have them: images with masks and types beside them."""

from __future__ import annotations

import itertools
import pickle
from unittest import mock

import numpy as np
from django.test import TestCase

from annotator import storage
from annotator.exceptions import BadInput, Unavailable
from annotator.models import Dataset, Image, Revision
from annotator.services.imports import ImportFile, ImportReport, images_import
from annotator.storage import labels_get
from tests.annotator.factories import (
    make_dataset,
    make_revision,
    pixels,
    square_labels,
    tiff_bytes,
)
from tests.annotator.test_label_formats import seg_bytes
from tests.people import make_people


class Imports(TestCase):
    def setUp(self) -> None:
        self.dataset: Dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image = tiff_bytes(pixels())
        self.masks = tiff_bytes(square_labels())

    def bring(self, *files: tuple[str, bytes], **options: str) -> ImportReport:
        return images_import(
            dataset=self.dataset,
            files=[_file(name, content) for name, content in files],
            uploaded_by=self.people.alice,
            **options,
        )

    def test_types_alone_leave_the_complete_regions_as_they_were(self) -> None:
        image = self.bring(("mixed_b1_1.tif", self.image)).imported[0]
        make_revision(image, self.people.alice, complete_regions=[[0, 0, 32, 48]])
        report = self.bring(("mixed_b1_1_types.csv", b"label,type\n1,HEK\n"))
        self.assertEqual(report.revisions, 1)
        head = image.revisions.get(number=2)
        self.assertEqual(head.complete_regions, [[0, 0, 32, 48]])
        self.bring(("mixed_b1_1_masks.tif", tiff_bytes(square_labels(5))))
        self.assertIsNone(image.revisions.get(number=3).complete_regions)

    def test_masks_beside_an_image_become_the_importers_revision(self) -> None:
        for image_name, masks_name in [
            ("HEK_b1_1.tif", "HEK_b1_1_masks.tif"),
            ("HEK_b1_2_img.tif", "HEK_b1_2_masks.png.tif".replace(".png", "")),
            ("HEK_b1_3.tif", "HEK_b1_3_cp_masks.tif"),
        ]:
            with self.subTest(masks_name):
                content = tiff_bytes(pixels())
                report = self.bring((masks_name, self.masks), (image_name, content))
                self.assertEqual(report.failed, [])
                self.assertEqual((len(report.imported), report.revisions), (1, 1))
                revision = report.imported[0].revisions.get()
                self.assertEqual((revision.author, revision.source), (self.people.alice, "import"))
                np.testing.assert_array_equal(labels_get(revision.labels_key), square_labels())
                self.assertEqual(
                    set(revision.cells.values_list("type__name", "type_source")),
                    {("HEK", "file_name")},
                )

    def test_a_group_put_into_a_second_split_is_remarked_on_once(self) -> None:
        first = self.bring(("HEK_b1_1.tif", self.image), split="train")
        self.assertEqual(first.notes, [])
        more = [(f"HEK_b1_{number}.tif", tiff_bytes(pixels())) for number in (2, 3)]
        report = self.bring(*more, split="test")
        self.assertEqual({image.split for image in report.imported}, {"test"})
        (note,) = report.notes
        self.assertIn("Images of batch=b1 are in the split train too", note)

    def test_a_cellpose_seg_file_is_a_revision_and_a_malicious_one_is_not(self) -> None:
        report = self.bring(
            ("a.tif", self.image), ("a_seg.npy", seg_bytes({"masks": square_labels()}))
        )
        self.assertEqual((report.revisions, report.failed), (1, []))
        crafted = seg_bytes(0)[:-60] + pickle.dumps(print)
        report = self.bring(("b.tif", tiff_bytes(pixels())), ("b_seg.npy", crafted))
        self.assertEqual((len(report.imported), report.revisions), (1, 0))
        self.assertEqual([name for name, _ in report.failed], ["b_seg.npy"])

    def test_of_several_masks_one_is_taken(self) -> None:
        report = self.bring(
            ("a.tif", self.image),
            ("a_seg.npy", seg_bytes({"masks": square_labels(1)})),
            ("a_cp_masks.tif", self.masks),
        )
        self.assertEqual(report.revisions, 1)
        self.assertEqual(Revision.objects.get().cell_count, 3)
        self.assertEqual(report.notes, ["a_seg.npy was not used: a_cp_masks.tif comes before it."])
        self.assertEqual(report.failed, [])

    def test_types_make_a_mixed_culture(self) -> None:
        report = self.bring(
            ("HEK_b1_1.tif", self.image),
            ("HEK_b1_1_masks.tif", self.masks),
            ("HEK_b1_1_types.csv", b"label,type\n1,HEK\n2,n2a\n"),
        )
        self.assertEqual(report.failed, [])
        image = Image.objects.get()
        self.assertEqual((image.culture, image.culture_type), ("mixed", None))
        cells = image.revisions.get().cells.values_list("label", "type__name", "type_source")
        self.assertEqual(list(cells), [(1, "HEK", "human"), (2, "N2a", "human"), (3, None, "")])

    def test_masks_that_are_refused_leave_the_culture_as_it_was(self) -> None:
        far = square_labels().astype(np.uint32)
        far[far == 3] = 2**31  # more than the database can number
        files = [("HEK_b1_1.tif", self.image), ("HEK_b1_1_masks.tif", tiff_bytes(far))]
        report = self.bring(*files, ("HEK_b1_1_types.csv", b"label,type\n1,HEK\n2,N2a\n"))
        self.assertEqual([name for name, _ in report.failed], ["HEK_b1_1_masks.tif"])
        image = Image.objects.get()
        self.assertEqual((image.culture, str(image.culture_type)), ("HEK", "HEK"))

    def test_a_culture_that_was_not_set_mixed_is_when_the_files_come_again(self) -> None:
        files = [
            ("HEK_b1_1.tif", self.image),
            ("HEK_b1_1_masks.tif", self.masks),
            ("HEK_b1_1_types.csv", b"label,type\n1,HEK\n2,N2a\n"),
        ]
        cut_off = mock.patch(
            "annotator.services.imports.image_culture_set", side_effect=KeyboardInterrupt
        )
        with cut_off, self.assertRaises(KeyboardInterrupt):
            self.bring(*files)
        self.assertEqual(self.bring(*files).revisions, 0)
        self.assertEqual(Image.objects.get().culture, "mixed")

    def test_unknown_types_take_their_masks_with_them(self) -> None:
        for table, word in (
            (b"label,type\n1,CHO\n", "CHO"),
            (b"label,type\n9,HEK\n", "9"),
            (b"nothing", "label,type"),
        ):
            with self.subTest(table):
                report = self.bring(
                    ("a.tif", self.image), ("a_masks.tif", self.masks), ("a_types.csv", table)
                )
                self.assertEqual([name for name, _ in report.failed], ["a_types.csv"])
                self.assertIn(word, report.failed[0][1])
                self.assertEqual(
                    report.notes, ["a_masks.tif was not used: a_types.csv was refused."]
                )
                self.assertFalse(Revision.objects.exists())
        self.assertEqual(Image.objects.count(), 1)

    def test_masks_of_another_shape_are_refused_and_the_image_stays(self) -> None:
        other = tiff_bytes(square_labels(shape=(48, 65)))
        report = self.bring(("a.tif", self.image), ("a_masks.tif", other))
        self.assertEqual((len(report.imported), report.revisions), (1, 0))
        self.assertEqual([name for name, _ in report.failed], ["a_masks.tif"])
        self.assertIn("65×48", report.failed[0][1])

    def test_an_unknown_type_in_the_name_is_reported_once_and_nothing_is_stored(self) -> None:
        report = self.bring(("CHO_b1_1.tif", self.image), ("CHO_b1_1_masks.tif", self.masks))
        self.assertEqual([name for name, _ in report.failed], ["CHO_b1_1.tif"])
        self.assertEqual(
            report.notes, ["CHO_b1_1_masks.tif was not used: its image CHO_b1_1.tif was refused."]
        )
        self.assertFalse(Image.objects.exists() or Revision.objects.exists())

    def test_importing_again_changes_nothing(self) -> None:
        files = [
            ("mixed_b1_1.tif", self.image),
            ("mixed_b1_1_masks.tif", self.masks),
            ("mixed_b1_1_types.csv", b"label,type\n1,HEK\n"),
        ]
        self.bring(*files)
        report = self.bring(*files)
        self.assertEqual((len(report.imported), len(report.duplicates)), (0, 1))
        self.assertEqual((report.revisions, report.failed), (0, []))

    def test_importing_again_does_not_undo_corrections(self) -> None:
        self.bring(("a.tif", self.image), ("a_masks.tif", self.masks))
        make_revision(Image.objects.get(), self.people.bob, square_labels(5))
        report = self.bring(("a.tif", self.image), ("a_masks.tif", self.masks))
        self.assertEqual(report.revisions, 0)

    def test_masks_may_come_later_and_other_masks_are_a_new_revision(self) -> None:
        self.bring(("a.tif", self.image))
        self.assertEqual(self.bring(("a_masks.tif", self.masks)).revisions, 1)
        report = self.bring(("a.tif", self.image), ("a_masks.tif", tiff_bytes(square_labels(4))))
        self.assertEqual(report.revisions, 1)
        self.assertEqual(Image.objects.get().revisions.count(), 2)

    def test_types_may_come_later(self) -> None:
        self.bring(("mixed_b1_1.tif", self.image), ("mixed_b1_1_masks.tif", self.masks))
        report = self.bring(("mixed_b1_1_types.csv", b"label,type\n1,HEK\n2,N2a\n"))
        self.assertEqual((report.revisions, report.failed), (1, []))
        self.assertEqual(str(Revision.objects.get(number=2).cells.get(label=2).type), "N2a")

    def test_masks_of_no_image_and_of_two_are_reported(self) -> None:
        report = self.bring(("z_masks.tif", self.masks))
        self.assertEqual([name for name, _ in report.failed], ["z_masks.tif"])
        report = self.bring(
            ("a.tif", self.image), ("a.tiff", tiff_bytes(pixels())), ("a_masks.tif", self.masks)
        )
        self.assertEqual((len(report.imported), report.revisions), (2, 0))
        self.assertEqual([name for name, _ in report.failed], ["a_masks.tif"])
        self.assertIn("separate folders", report.failed[0][1])
        types = ("a_types.csv", b"label,type\n1,HEK\n")
        report = self.bring(("a_masks.tif", self.masks), ("a_seg.npy", b"x"), types)
        names = ["a_masks.tif", "a_seg.npy", "a_types.csv"]
        self.assertEqual([name for name, _ in report.failed], names, "every one of them")
        self.assertIn("with its own image", report.failed[0][1])

    def test_the_same_stem_in_two_folders_is_two_images(self) -> None:
        other = tiff_bytes(pixels())
        files = [
            _file("a.tif", self.image, "one"),
            _file("a_masks.tif", self.masks, "one"),
            _file("a.tif", other, "two"),
        ]
        report = images_import(dataset=self.dataset, files=files, uploaded_by=None)
        self.assertEqual((len(report.imported), report.revisions, report.failed), (2, 1, []))

    def test_masks_in_a_folder_of_their_own_find_their_image(self) -> None:
        files = [_file("a_masks.tif", self.masks, "masks"), _file("a.tif", self.image, "raw")]
        report = images_import(dataset=self.dataset, files=files, uploaded_by=None)
        self.assertEqual((report.revisions, report.failed), (1, []))

    def test_byproducts_are_left_alone_and_strange_files_reported(self) -> None:
        report = self.bring(
            ("a_flows.tif", self.masks),
            (".DS_Store", b"x"),
            ("notes.txt", b"x"),
            ("b.png", b"text"),
        )
        self.assertEqual(sorted(name for name, _ in report.failed), ["b.png", "notes.txt"])

    def test_it_rejects_unknown_split_and_culture_before_reading(self) -> None:
        for options in ({"split": "exam"}, {"culture": "CHO"}):
            with self.assertRaises(BadInput):
                self.bring(("a.tif", self.image), **options)
        self.assertFalse(Image.objects.exists())

    def test_all_images_in_one_split_are_remarked_on(self) -> None:
        files = [(f"HEK_b1_{number}.tif", tiff_bytes(pixels())) for number in range(5)]
        self.assertIn("batch=b1", self.bring(*files).notes[0])
        spread = [(f"HEK_b{number}_1.tif", tiff_bytes(pixels())) for number in range(5)]
        self.assertEqual(self.bring(*spread).notes, [])

    def test_storage_that_is_down_is_said_at_once_and_nothing_is_stored(self) -> None:
        down = mock.patch("annotator.storage.put", side_effect=Unavailable("down"))
        with down as put, self.assertRaises(Unavailable):
            self.bring(("a.tif", self.image), ("b.tif", tiff_bytes(pixels())))
        self.assertEqual(put.call_count, 1, "it does not wait for every file in turn")
        self.assertFalse(Image.objects.exists())

    def test_storage_that_goes_down_halfway_leaves_a_report(self) -> None:
        real, calls = storage.put, itertools.count(1)

        def put(key: str, content: bytes) -> str:
            if next(calls) > 3:  # image and thumbnail of a, and its image once more
                raise Unavailable("down")
            return real(key, content)

        files = [(f"{name}.tif", tiff_bytes(pixels())) for name in "abcd"]
        with mock.patch("annotator.storage.put", put):
            report = self.bring(*files, ("d_masks.tif", self.masks))
        self.assertEqual([image.name for image in report.imported], ["a.tif"])
        left = ["b.tif", "c.tif", "d.tif", "d_masks.tif"]
        self.assertEqual(report.failed, [(name, "down") for name in left])
        self.assertEqual(Image.objects.count(), 1)

    def test_a_name_that_is_no_name_is_reported_with_the_others(self) -> None:
        report = self.bring(("..", self.image), ("b.tif", tiff_bytes(pixels())))
        self.assertEqual([name for name, _ in report.failed], [".."])
        self.assertEqual(len(report.imported), 1)


def _file(name: str, content: bytes, folder: str = "") -> ImportFile:
    return ImportFile(name=name, read=lambda: content, folder=folder)

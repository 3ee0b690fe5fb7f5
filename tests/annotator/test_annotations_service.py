"""Revisions: appended under an optimistic lock, with their corrections counted."""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

import numpy as np
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from annotator import storage
from annotator.exceptions import NotHere, StaleRevision, UnusableLabels
from annotator.models import Draft, Image, PredictedCell, QueueItem, Revision
from annotator.services.annotations import RevisionDetails, revision_submit, types_by_overlap
from annotator.storage import labels_get
from tests.annotator.factories import (
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    square_labels,
)
from tests.people import make_people


class Revisions(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.image: Image = make_image(self.dataset, "mixed_b1_1.tif")

    def submit(self, labels: np.ndarray, base: int = 0, **types: str | None) -> Revision:
        return revision_submit(
            image=self.image,
            author=self.people.bob,
            labels=labels,
            cell_types={int(key[1:]): value for key, value in types.items()},
            base_number=base,
        )

    def test_cells_keep_their_ids_and_types(self) -> None:
        labels = square_labels(2)
        labels[labels == 2] = 70
        revision = self.submit(labels, c1="HEK", c70="N2a")
        self.assertEqual(revision.number, 1)
        np.testing.assert_array_equal(labels_get(revision.labels_key), labels)
        cell = revision.cells.get(label=70)
        self.assertEqual((str(cell.type), cell.type_source), ("N2a", "human"))
        self.assertEqual((cell.bbox, cell.area, cell.centroid), ([10, 0, 18, 8], 64, [13.5, 3.5]))

    def test_untyped_cells_of_a_single_type_culture_take_its_type(self) -> None:
        self.image = make_image(self.dataset, "HEK_b1_1.tif")
        revision = self.submit(square_labels(2), c1="N2a")
        self.assertEqual(
            list(revision.cells.values_list("type__name", "type_source")),
            [("N2a", "human"), ("HEK", "file_name")],
        )

    def test_a_stale_base_is_refused(self) -> None:
        self.submit(square_labels(2))
        with self.assertRaises(StaleRevision):
            self.submit(square_labels(3))
        with self.assertRaises(StaleRevision):
            self.submit(square_labels(3), base=2)
        self.assertEqual(self.image.revisions.count(), 1)

    def test_a_repeated_request_returns_what_the_first_made(self) -> None:
        first = self.submit(square_labels(2), c1="HEK")
        self.assertEqual(self.submit(square_labels(2), c1="HEK"), first)
        with self.assertRaises(StaleRevision):
            self.submit(square_labels(2), c1="N2a")
        with self.assertRaises(StaleRevision):
            revision_submit(
                image=self.image,
                author=self.people.alice,
                labels=square_labels(2),
                cell_types={1: "HEK"},
                base_number=0,
            )
        self.assertEqual(self.image.revisions.count(), 1)

    def test_a_repetition_forgets_the_draft_and_one_with_other_regions_is_stale(self) -> None:
        box = [[0, 0, 32, 48]]
        details = RevisionDetails(complete_regions=box)
        first = self.submit_with(details)
        Draft.objects.create(
            image=self.image,
            author=self.people.bob,
            base_number=0,
            labels_key="drafts/none",
            document={},
            saved_at=timezone.now(),
        )
        for regions in (None, [], [[0, 0, 64, 48]]):
            with self.subTest(regions), self.assertRaises(StaleRevision):
                self.submit_with(RevisionDetails(complete_regions=regions))
        self.assertTrue(Draft.objects.exists())
        self.assertEqual(self.submit_with(details), first)
        self.assertFalse(Draft.objects.exists())

    def submit_with(self, details: RevisionDetails) -> Revision:
        return revision_submit(
            image=self.image,
            author=self.people.bob,
            labels=square_labels(2),
            cell_types={},
            base_number=0,
            details=details,
        )

    def test_of_two_at_once_one_is_stale(self) -> None:
        put = storage.labels_put
        overtaken: list[bool] = []

        def overtake(labels: np.ndarray) -> str:
            # Between the check of the head and the insert, as from another process.
            if not overtaken:
                overtaken.append(True)
                make_revision(self.image, self.people.alice, square_labels(5))
            return put(labels)

        with (
            mock.patch("annotator.storage.labels_put", overtake),
            self.assertRaises(StaleRevision),
        ):
            self.submit(square_labels(2))
        self.assertEqual(self.image.revisions.get().author, self.people.alice)

    def test_it_rejects_labels_that_do_not_fit(self) -> None:
        for labels in (
            square_labels(shape=(64, 48)),
            square_labels().astype(np.float32),
            -square_labels().astype(np.int32),
            np.zeros((1, 48, 64), np.uint16),
        ):
            with self.subTest(labels.dtype), self.assertRaises(UnusableLabels):
                self.submit(labels)
        self.assertFalse(Revision.objects.exists())

    def test_it_rejects_cells_without_pixels_and_unknown_types(self) -> None:
        with self.assertRaises(UnusableLabels) as caught:
            self.submit(square_labels(2), c1="HEK", c3="HEK")
        self.assertIn("3", caught.exception.message)
        with self.assertRaises(UnusableLabels) as caught:
            self.submit(square_labels(2), c1="CHO")
        self.assertIn("HEK, N2a", caught.exception.message)

    def test_it_rejects_regions_outside_the_image(self) -> None:
        for region in ([0, 0, 65, 10], [5, 5, 5, 10], [0, 0, 9]):
            with self.assertRaises(UnusableLabels):
                make_revision(self.image, complete_regions=[region])
        with self.assertRaisesMessage(UnusableLabels, "are too many: send 5000 at most"):
            make_revision(self.image, complete_regions=[[0, 0, 5, 5]] * 5001)
        revision = make_revision(self.image, complete_regions=[[0, 0, 64, 48]])
        self.assertEqual(revision.complete_regions, [[0, 0, 64, 48]])

    def test_submitting_closes_the_queue_item(self) -> None:
        item = QueueItem.objects.create(image=self.image, score=1, leased_until=timezone.now())
        self.submit(square_labels(2))
        item.refresh_from_db()
        self.assertEqual(item.outcome, "submitted")
        self.assertIsNotNone(item.closed_at)

    def test_no_cells_at_all_are_a_revision_too(self) -> None:
        self.assertEqual(self.submit(np.zeros((48, 64), np.uint8)).cell_count, 0)


class Deleted(TransactionTestCase):
    """Its own transactions: the database checks foreign keys at their end."""

    def test_an_image_deleted_before_or_during_a_submit_is_said_to_be_gone(self) -> None:
        put = storage.labels_put

        def delete_first(labels: np.ndarray) -> str:
            Image.objects.filter(pk=image.pk).delete()
            return put(labels)

        image = make_image(make_dataset(), "mixed_b1_1.tif")
        with (
            mock.patch("annotator.storage.labels_put", delete_first),
            self.assertRaises(NotHere),
        ):
            make_revision(image)
        with self.assertRaises(NotHere):
            revision_submit(
                image=image, author=None, labels=square_labels(), cell_types={}, base_number=1
            )


class Corrections(TestCase):
    def setUp(self) -> None:
        self.image = make_image(make_dataset(), "mixed_b1_1.tif")
        self.prediction = make_prediction(self.image, labels=square_labels(4))
        hek = self.image.dataset.types.get(name="HEK")
        PredictedCell.objects.bulk_create(
            PredictedCell(
                prediction=self.prediction,
                label=label,
                type=hek,
                score=1,
                uncertainty=0,
                seen_by="both",
                bbox=[0, 0, 1, 1],
                area=64,
                centroid=[0, 0],
            )
            for label in range(1, 5)
        )
        self.types: dict[int, str | None] = dict.fromkeys(range(1, 5), "HEK")

    def count(self, labels: np.ndarray, types: Mapping[int, str | None]) -> int:
        return make_revision(self.image, None, labels, dict(types)).corrected_cells

    def test_an_accepted_prediction_corrects_nothing(self) -> None:
        self.assertEqual(self.count(square_labels(4), self.types), 0)

    def test_changed_deleted_added_and_retyped_cells_count_once_each(self) -> None:
        labels = square_labels(4)
        labels[0, 0] = 0  # cell 1 loses a pixel
        labels[labels == 2] = 0  # deleted
        labels[40:46, 50:60] = 9  # added
        types = {1: "N2a", 3: "N2a", 4: "HEK", 9: "HEK"}  # 1 retyped too, 3 retyped
        self.assertEqual(self.count(labels, types), 4)

    def test_on_a_single_type_culture_what_the_models_call_the_cells_is_no_correction(self) -> None:
        self.prediction.cells.update(type=self.image.dataset.types.get(name="N2a"))
        Image.objects.filter(pk=self.image.pk).update(
            culture="HEK", culture_type=self.image.dataset.types.get(name="HEK")
        )
        self.image.refresh_from_db()
        self.assertEqual(types_by_overlap(image=self.image, labels=square_labels(4)), ({}, {}))
        self.assertEqual(self.count(square_labels(4), {}), 0)
        self.assertEqual(self.count(square_labels(4), {1: "N2a"}), 1)

    def test_renumbering_corrects_nothing(self) -> None:
        labels = square_labels(4)
        self.assertEqual(
            self.count(labels + (labels > 0), {label + 1: "HEK" for label in self.types}), 0
        )

    def test_a_split_counts_both_halves_and_a_merge_what_it_ate(self) -> None:
        labels = square_labels(4)
        labels[:4, :8] = 9
        self.assertEqual(self.count(labels, self.types | {9: "HEK"}), 3)

    def test_the_head_is_the_next_base(self) -> None:
        self.count(square_labels(5), self.types | {5: "HEK"})
        self.assertEqual(self.count(square_labels(5), self.types | {5: "N2a"}), 1)

    def test_imported_masks_all_count(self) -> None:
        revision = make_revision(self.image, None, square_labels(3), source="import")
        self.assertEqual(revision.corrected_cells, 3)

    def test_types_carry_over_by_overlap(self) -> None:
        moved = np.roll(square_labels(4), 2, axis=1) * 10
        types, sources = types_by_overlap(image=self.image, labels=moved)
        self.assertEqual(types, {10: "HEK", 20: "HEK", 30: "HEK", 40: "HEK"})
        self.assertEqual(set(sources.values()), {"model"})
        make_revision(self.image, None, square_labels(4), {1: "N2a"})
        types, sources = types_by_overlap(image=self.image, labels=moved)
        self.assertEqual((types, sources), ({10: "N2a"}, {10: "human"}))


class Details(TestCase):
    def test_details_are_kept(self) -> None:
        image = make_image()
        prediction = make_prediction(image)
        details = RevisionDetails(
            source="browser",
            type_sources={1: "model"},
            seconds_spent=12.5,
            note="n" * 400,
            prediction=prediction,
        )
        revision = revision_submit(
            image=image,
            author=None,
            labels=square_labels(),
            cell_types={1: "HEK"},
            base_number=0,
            details=details,
        )
        self.assertEqual((revision.prediction, revision.seconds_spent), (prediction, 12.5))
        self.assertEqual(len(revision.note), 300)
        self.assertEqual(revision.cells.get(label=1).type_source, "model")

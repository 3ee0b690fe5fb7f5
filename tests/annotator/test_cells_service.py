"""Many cells changed at once: one revision per image, honest completeness, undone as a whole."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import numpy as np
from django.test import TestCase
from django.utils import timezone

from annotator import storage
from annotator.exceptions import BadInput
from annotator.models import (
    GALLERY,
    Draft,
    Image,
    PredictedCell,
    Prediction,
    QueueItem,
    Revision,
    Verdict,
)
from annotator.services.annotations import MOST_REGIONS
from annotator.services.cells import (
    Answer,
    Changed,
    Wanted,
    cells_change,
    cells_undo,
    completed,
)
from annotator.services.drafts import DraftContent, draft_save
from annotator.services.queue import queue_next, queue_refresh
from inference.rectangles import painted
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.people import make_people

ACCEPT = Answer(Verdict.ACCEPTED)
REJECT = Answer(Verdict.REJECTED)


def types_of(revision: Revision) -> dict[int, tuple[str | None, str]]:
    rows = revision.cells.values_list("label", "type__name", "type_source")
    return {label: (name, source) for label, name, source in rows}


def complete_in(revision: Revision) -> Any:
    """The pixels (H, W) that are complete."""
    box = (0, 0, revision.image.width, revision.image.height)
    return painted(revision.complete_regions or [], box)


class Base(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.people = make_people(self.dataset)
        self.version = make_version(self.dataset)

    def predicted(self, name: str = "mixed_b1_1.tif", **options: Any) -> Prediction:
        """An image of three squares of 8 px at y 0 and x 0, 10, 20, all HEK by the models."""
        image = make_image(self.dataset, name, split=options.pop("split", "train"), **options)
        prediction = make_prediction(image, self.version)
        make_cells(prediction, type="HEK")
        return prediction

    def change(self, image: Image, answers: dict[int, Answer], **shown: Any) -> Changed:
        head = image.revisions.order_by("-number").first()
        number = shown.get("number", head.number if head else 0)
        prediction = image.predictions.order_by("-id").values_list("pk", flat=True).first()
        wanted = Wanted(image, number, shown.get("prediction", prediction), answers)
        return cells_change(author=self.people.bob, wanted=[wanted], seconds=6.0)


class Change(Base):
    def test_retyped_cells_are_by_hand_and_the_others_stay_the_models(self) -> None:
        image = self.predicted().image
        done = self.change(image, {1: Answer(Verdict.RETYPED, "N2a"), 2: ACCEPT})
        (revision,) = done.revisions
        self.assertEqual(
            types_of(revision), {1: ("N2a", "human"), 2: ("HEK", "human"), 3: ("HEK", "model")}
        )
        self.assertEqual((revision.number, revision.author), (1, self.people.bob))
        self.assertEqual((revision.source, revision.corrected_cells), ("gallery", 1))
        self.assertEqual(revision.seconds_spent, 6.0)
        self.assertEqual(revision.prediction, image.predictions.get())

    def test_only_what_surrounds_the_answered_cells_is_complete(self) -> None:
        image = self.predicted().image
        (revision,) = self.change(image, {1: ACCEPT, 2: ACCEPT}).revisions
        complete = complete_in(revision)
        # 8 px squares at x 0 and 10, with a pixel around them and two at most
        self.assertTrue(complete[:9, :19].all())
        self.assertFalse(complete[10:].any() or complete[:, 20:].any())

    def test_a_rejected_cell_is_gone_and_its_place_complete(self) -> None:
        image = self.predicted().image
        (revision,) = self.change(image, {2: REJECT}).revisions
        labels = storage.labels_get(revision.labels_key)
        self.assertEqual(np.unique(labels).tolist(), [0, 1, 3])
        self.assertEqual((revision.cell_count, revision.corrected_cells), (2, 1))
        complete = complete_in(revision)
        self.assertTrue(complete[:8, 10:18].all())
        self.assertFalse((complete & (labels > 0)).any())

    def test_what_was_complete_stays_complete_and_is_not_doubled(self) -> None:
        image = self.predicted().image
        self.change(image, {1: ACCEPT})
        (revision,) = self.change(image, {2: ACCEPT}).revisions
        first, second = image.revisions.order_by("number")
        self.assertEqual(second, revision)
        before, after = first.complete_regions or [], second.complete_regions or []
        self.assertEqual(after[: len(before)], before)
        count = np.zeros((48, 64), int)
        for x0, y0, x1, y1 in after:
            count[y0:y1, x0:x1] += 1
        self.assertEqual(count.max(), 1)

    def test_a_whole_complete_image_stays_whole_complete(self) -> None:
        image = make_image(self.dataset, split="train")
        make_revision(image, self.people.alice, types={1: "HEK", 2: "HEK", 3: None})
        (revision,) = self.change(image, {1: Answer(Verdict.RETYPED, "N2a"), 2: REJECT}).revisions
        self.assertIsNone(revision.complete_regions)
        self.assertEqual(types_of(revision), {1: ("N2a", "human"), 3: (None, "")})
        self.assertEqual(revision.corrected_cells, 2)

    def test_a_test_image_measures_as_a_whole_so_nothing_of_it_becomes_complete(self) -> None:
        image = self.predicted(split="test").image
        (revision,) = self.change(image, {1: Answer(Verdict.RETYPED, "N2a")}).revisions
        self.assertEqual(revision.complete_regions, [])
        self.assertEqual(types_of(revision)[1], ("N2a", "human"))

    def test_on_a_single_type_culture_the_name_gives_the_type_unless_a_person_does(self) -> None:
        prediction = self.predicted("HEK_b1_1.tif")
        PredictedCell.objects.update(type=self.dataset.types.get(name="N2a"))
        answers = {1: ACCEPT, 2: Answer(Verdict.RETYPED, "N2a")}
        (revision,) = self.change(prediction.image, answers).revisions
        hek = ("HEK", "file_name")
        self.assertEqual(types_of(revision), {1: hek, 2: ("N2a", "human"), 3: hek})

    def test_what_changes_nothing_makes_no_revision(self) -> None:
        image = make_image(self.dataset)
        make_revision(image, self.people.alice, types={1: "HEK"})
        done = self.change(image, {1: ACCEPT, 3: Answer(Verdict.RETYPED, None)})
        self.assertEqual((done.revisions, done.unchanged), ([], [image]))
        self.assertEqual(image.revisions.count(), 1)

    def test_an_image_that_moved_on_is_left_alone_and_the_others_are_changed(self) -> None:
        stale, fresh = self.predicted().image, self.predicted("mixed_b1_2.tif").image
        make_revision(stale, self.people.alice)
        wanted = [
            Wanted(image, 0, image.predictions.get().pk, {1: REJECT}) for image in (stale, fresh)
        ]
        done = cells_change(author=self.people.bob, wanted=wanted, seconds=None)
        self.assertEqual([revision.image for revision in done.revisions], [fresh])
        self.assertEqual([moved.image for moved in done.moved], [stale])
        self.assertIn("mixed_b1_1.tif was changed", done.moved[0].message)
        self.assertEqual(stale.revisions.count(), 1)

    def test_a_prediction_that_was_replaced_is_not_changed_by_its_old_numbers(self) -> None:
        old = self.predicted()
        new = make_prediction(old.image, make_version(self.dataset, stage="candidate"))
        make_cells(new)
        done = self.change(old.image, {1: REJECT}, prediction=old.pk)
        self.assertIn("predicted again", done.moved[0].message)
        self.assertFalse(Revision.objects.exists())

    def test_the_same_request_again_is_answered_with_what_it_made(self) -> None:
        image = self.predicted().image
        for answers in ({1: REJECT}, {1: Answer(Verdict.RETYPED, "N2a")}, {1: ACCEPT}):
            with self.subTest(answers=answers):
                Revision.objects.all().delete()
                (made,) = self.change(image, answers).revisions
                again = self.change(image, answers, number=0)
                self.assertEqual((again.revisions, again.moved), ([made], []))
                self.assertEqual(image.revisions.count(), 1)

    def test_an_unknown_cell_or_type_is_refused(self) -> None:
        image = self.predicted().image
        for answers in ({9: ACCEPT}, {1: Answer(Verdict.RETYPED, "CHO")}):
            with self.subTest(answers=answers), self.assertRaises(BadInput):
                self.change(image, answers)
        self.assertFalse(Revision.objects.exists())

    def test_work_on_the_image_in_the_editor_stays(self) -> None:
        image = self.predicted().image
        item = QueueItem.objects.create(image=image, score=0.5)
        content = DraftContent(
            base_number=0,
            prediction=None,
            labels=square_labels(1),
            document={},
            saved_at=image.created_at,
        )
        draft_save(image=image, author=self.people.bob, content=content)
        self.change(image, {1: ACCEPT})
        item.refresh_from_db()
        self.assertIsNone(item.closed_at)
        self.assertEqual(Draft.objects.get().author, self.people.bob)

    def test_an_image_that_one_has_in_the_editor_is_changed_there(self) -> None:
        image = self.predicted().image
        item = QueueItem.objects.create(
            image=image,
            score=0.5,
            annotator=self.people.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )
        self.assertIn("in the editor", self.change(image, {1: ACCEPT}).moved[0].message)
        item.annotator = self.people.alice
        item.save()
        self.assertEqual(self.change(image, {1: ACCEPT}).moved, [])

    def test_an_image_of_which_some_cells_were_answered_for_is_still_to_be_corrected(self) -> None:
        image = self.predicted().image
        self.assertEqual(queue_refresh(dataset=self.dataset), 1)
        self.change(image, {1: ACCEPT})
        queue_refresh(dataset=self.dataset)
        item = queue_next(dataset=self.dataset, annotator=self.people.alice)
        assert item is not None
        self.assertEqual(item.image, image)
        make_revision(image, self.people.alice)
        queue_refresh(dataset=self.dataset)
        self.assertIsNone(queue_next(dataset=self.dataset, annotator=self.people.bob))


class Undo(Base):
    def undo(self, *revisions: Revision, author: Any = None) -> Changed:
        return cells_undo(author=author or self.people.bob, revisions=revisions)

    def assert_same(self, one: Revision, other: Revision) -> None:
        self.assertEqual(types_of(one), types_of(other))
        self.assertEqual(one.labels_key, other.labels_key)
        self.assertEqual(one.complete_regions, other.complete_regions)

    def test_each_image_is_as_before(self) -> None:
        revised = make_image(self.dataset, split="train")
        before = make_revision(revised, self.people.alice, types={1: "HEK"})
        predicted = self.predicted()
        made = [
            *self.change(revised, {1: Answer(Verdict.RETYPED, "N2a"), 2: REJECT}).revisions,
            *self.change(predicted.image, {1: REJECT}).revisions,
        ]
        done = self.undo(*made)
        self.assertEqual([revision.number for revision in done.revisions], [3, 2])
        self.assert_same(done.revisions[0], before)
        bare = done.revisions[1]
        self.assertEqual(bare.complete_regions, [])
        self.assertEqual(bare.labels_key, predicted.labels_key)
        self.assertEqual(set(types_of(bare).values()), {("HEK", "model")})
        self.assertEqual(sum(revision.corrected_cells for revision in done.revisions), 0)

    def test_undoing_the_undo_brings_the_change_back(self) -> None:
        (made,) = self.change(self.predicted().image, {1: REJECT, 2: ACCEPT}).revisions
        (undone,) = self.undo(made).revisions
        (again,) = self.undo(undone).revisions
        self.assert_same(again, made)

    def test_one_change_after_the_other_is_undone_the_last_first(self) -> None:
        image = self.predicted().image
        first, second, third = (
            self.change(image, {label: REJECT}).revisions[0] for label in (1, 2, 3)
        )
        self.assertIn("changed again", self.undo(second).moved[0].message)
        self.assert_same(self.undo(third).revisions[0], second)
        self.assert_same(self.undo(second).revisions[0], first)
        (bare,) = self.undo(first).revisions
        self.assertEqual(len(types_of(bare)), 3)
        (again,) = self.undo(bare).revisions
        self.assert_same(again, first)
        self.assertEqual(self.undo(first).moved, [])

    def test_an_image_that_moved_on_stays_and_is_named(self) -> None:
        images = [self.predicted().image, self.predicted("mixed_b1_2.tif").image]
        made = [self.change(image, {1: REJECT}).revisions[0] for image in images]
        make_revision(images[0], self.people.alice)
        done = self.undo(*made)
        self.assertEqual([revision.image for revision in done.revisions], [images[1]])
        self.assertIn("mixed_b1_1.tif was changed again", done.moved[0].message)
        self.assertEqual(images[0].revisions.count(), 2)

    def test_only_ones_own_changes_from_a_list_are_undone(self) -> None:
        image = self.predicted().image
        (made,) = self.change(image, {1: REJECT}).revisions
        self.assertIn(
            "no change of yours", self.undo(made, author=self.people.alice).moved[0].message
        )
        drawn = make_revision(image, self.people.bob)
        self.assertIn("no change of yours", self.undo(drawn).moved[0].message)
        self.assertEqual(image.revisions.count(), 2)

    def test_undo_and_redo_by_turns_have_no_end(self) -> None:
        (made,) = self.change(self.predicted().image, {1: REJECT}).revisions
        head = made
        for number in range(2, 2 * sys.getrecursionlimit(), 2):  # as undoing and redoing would
            for each in (number, number + 1):
                head = Revision.objects.create(
                    image=made.image,
                    number=each,
                    parent=head,
                    author=self.people.bob,
                    source=GALLERY,
                    labels_key=made.labels_key,
                    cell_count=2,
                    corrected_cells=0,
                    complete_regions=made.complete_regions,
                    note=f"revision {each - 1} undone",
                )
        done = self.undo(made)
        self.assertEqual((len(done.revisions), done.moved), (1, []))

    def test_the_same_undo_again_is_answered_with_what_it_made(self) -> None:
        (made,) = self.change(self.predicted().image, {1: REJECT}).revisions
        first = self.undo(made).revisions
        self.assertEqual(self.undo(made).revisions, first)
        self.assertEqual(Revision.objects.count(), 2)


class Completed(TestCase):
    def test_round_cells_that_touch_others_never_take_a_pixel_of_them(self) -> None:
        y, x = np.mgrid[:60, :60]
        labels = np.zeros((60, 60), np.uint16)
        for number, (cy, cx) in enumerate([(20, 20), (20, 37), (37, 20), (5, 55)], 1):
            labels[((y - cy) ** 2 + (x - cx) ** 2 <= 81) & (labels == 0)] = number
        complete = painted(completed(labels, [], [1]), (0, 0, 60, 60))
        self.assertTrue(complete[labels == 1].all())
        self.assertFalse(complete[labels > 1].any())
        ring = complete & (labels == 0)
        self.assertTrue(ring.any())
        far = (y - 20) ** 2 + (x - 20) ** 2 > 13**2
        self.assertFalse((complete & far).any())

    def test_there_are_never_more_regions_than_an_image_may_have(self) -> None:
        y, x = np.mgrid[:600, :600]
        inside = ((y % 12) - 5.5) ** 2 + ((x % 12) - 5.5) ** 2 <= 20
        labels = np.where(inside, (y // 12) * 50 + x // 12 + 1, 0).astype(np.uint16)
        ids = np.unique(labels)[1:].tolist()
        found = completed(labels, [[0, 0, 3, 3]], ids[::2])
        self.assertLessEqual(len(found), MOST_REGIONS)
        self.assertEqual(found[0], [0, 0, 3, 3])
        complete = painted(found, (0, 0, 600, 600))
        unasked = np.isin(labels, ids[1::2])
        unasked[:3, :3] = False
        self.assertFalse((complete & unasked).any())
        self.assertGreater(complete[np.isin(labels, ids[::2])].mean(), 0.5)

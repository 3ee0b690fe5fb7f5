"""Answers for cells that come to nothing: what is asked afterwards, and what may be undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from annotator import storage
from annotator.exceptions import BadInput, Unavailable
from annotator.models import CellQuestion, Prediction, QueueItem, Revision, Verdict
from annotator.services.cells import Answer, cells_undo
from annotator.services.questions import questions_reopen
from tests.annotator.factories import (
    make_cells,
    make_image,
    make_prediction,
    make_revision,
    square_labels,
)
from tests.annotator.test_questions_service import ACCEPT, REJECT, Asking

N2A = Answer(Verdict.RETYPED, "N2a")


class RefusedTest(Asking):
    def in_the_editor(self, prediction: Prediction) -> QueueItem:
        return QueueItem.objects.create(
            image=prediction.image,
            score=1.0,
            annotator=self.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )

    def test_no_cell_of_an_image_that_was_corrected_as_a_whole_is_asked_about_again(self) -> None:
        prediction = self.predicted()
        one, *others = self.ask()
        self.assertEqual(len(others), 2)
        make_revision(prediction.image)
        self.assertIn("as a whole", self.answer({one.cell_id: REJECT}).refused[one.cell_id])
        self.assertEqual(self.ask(), [])

    def test_who_has_the_image_in_the_editor_is_not_asked_about_it(self) -> None:
        prediction = self.predicted()
        one, *others = self.ask()
        item = self.in_the_editor(prediction)
        self.assertIn("editor", self.answer({one.cell_id: REJECT}).refused[one.cell_id])
        self.assertEqual(self.ask(), [])
        item.delete()
        self.assertIn(one.cell_id, [each.cell_id for each in self.ask(self.eve)])
        self.assertEqual(len(self.ask()), len(others))

    def test_an_answer_sent_again_while_the_image_is_in_the_editor_can_still_be_undone(
        self,
    ) -> None:
        prediction = self.predicted()
        one, *_ = self.ask()
        done = self.answer({one.cell_id: N2A})
        item = self.in_the_editor(prediction)
        self.answer({one.cell_id: N2A})
        item.delete()
        cells_undo(author=self.bob, revisions=done.revisions)
        questions_reopen(annotator=self.bob, cells=[one.cell_id], images=[prediction.image_id])
        self.assertIn(one.cell_id, [each.cell_id for each in self.ask()])

    def test_one_image_that_cannot_be_read_holds_up_no_other_answers(self) -> None:
        lost = self.predicted()
        image = make_image(self.dataset, split="train")
        other = make_prediction(image, self.version, np.roll(square_labels(3), 3, axis=0))
        make_cells(other, type="HEK")
        asked = {each.cell_id: each for each in self.ask()}
        mine, theirs = (
            next(cell for cell, each in asked.items() if each.cell.prediction == prediction)
            for prediction in (lost, other)
        )
        storage.delete(lost.labels_key)
        with self.assertRaises(Unavailable):  # nothing came of it: the same may be sent again
            self.answer({mine: REJECT})
        done = self.answer({mine: REJECT, theirs: REJECT})
        self.assertEqual((done.done, list(done.refused)), ([theirs], [mine]))
        self.assertIn("asked again", done.refused[mine])

    def test_an_unknown_type_stores_none_of_the_answers(self) -> None:
        self.predicted()
        one, two, _ = self.ask()
        with self.assertRaises(BadInput):
            self.answer({one.cell_id: REJECT, two.cell_id: Answer(Verdict.RETYPED, "Foo")})
        self.assertFalse(Revision.objects.exists())

    def test_what_is_in_the_editor_is_not_undone_behind_it(self) -> None:
        prediction = self.predicted()
        one, *_ = self.ask()
        done = self.answer({one.cell_id: REJECT})
        self.in_the_editor(prediction)
        came_to = cells_undo(author=self.bob, revisions=done.revisions)
        self.assertIn("editor", came_to.moved[0].message)
        self.assertEqual(Revision.objects.count(), 1)

    def test_of_a_cell_that_is_gone_nobody_is_said_to_have_answered(self) -> None:
        prediction = self.predicted()
        one, *_ = self.ask()
        label = one.cell.label
        make_revision(
            prediction.image,
            labels=self.without(label),
            types={n: "HEK" for n in (1, 2, 3) if n != label},
            complete_regions=[],
            prediction=prediction,
        )
        self.answer({one.cell_id: ACCEPT})
        self.assertIsNotNone(CellQuestion.objects.get(cell=one.cell_id).answered_at)
        refused = self.answer({one.cell_id: ACCEPT}, self.eve).refused[one.cell_id]
        self.assertIn("changed it", refused)

    def without(self, label: int) -> Any:
        labels = square_labels(3)
        labels[labels == label] = 0
        return labels

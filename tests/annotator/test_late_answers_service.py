"""Answers for cells beside others that somebody changed meanwhile: each for its own cell alone."""

from __future__ import annotations

from unittest import mock

import numpy as np
from django.db import OperationalError
from numpy.typing import NDArray

from annotator import storage
from annotator.models import CellQuestion, Prediction, Verdict
from annotator.selectors.answered import answered_cells
from annotator.services.cells import Answer, Wanted, cells_change, cells_undo
from annotator.services.questions import questions_release, questions_reopen
from tests.annotator.factories import (
    make_cells,
    make_image,
    make_prediction,
    make_revision,
    make_version,
    square_labels,
)
from tests.annotator.test_questions_service import ACCEPT, REJECT, Asking, newest

HEK, N2A = Answer(Verdict.RETYPED, "HEK"), Answer(Verdict.RETYPED, "N2a")


def aslant() -> NDArray[np.uint16]:
    """Two long cells side by side whose boxes are nearly the same, and one in a corner."""
    labels = np.zeros((48, 64), np.uint16)
    y, x = np.mgrid[:48, :64]
    labels[(abs(x - y - 1) <= 2) & (x < 40) & (y < 40)] = 1
    labels[(abs(x - y - 8) <= 2) & (x < 47) & (y < 40)] = 2
    labels[44:48, 0:4] = 3
    return labels


def rings() -> NDArray[np.uint16]:
    """A cell that lies around another one."""
    labels = np.zeros((48, 64), np.uint16)
    away = np.hypot(*(np.mgrid[:48, :64] - 20))
    labels[(away < 18) & (away > 15)] = 1
    labels[away < 12] = 2
    return labels


class Late(Asking):
    def drawn(self, labels: NDArray[np.uint16]) -> Prediction:
        image = make_image(self.dataset, split="train")
        prediction = make_prediction(image, self.version, labels)
        make_cells(prediction, type="HEK")
        return prediction

    def by_label(self) -> dict[int, CellQuestion]:
        return {question.cell.label: question for question in self.ask()}

    def types(self, prediction: Prediction) -> dict[int, str | None]:
        return dict(newest(prediction).cells.values_list("label", "type__name"))

    def test_a_cell_is_asked_about_though_the_one_beside_or_inside_it_was_answered(
        self,
    ) -> None:
        for labels in (aslant(), rings()):
            prediction = self.drawn(labels)
            asked = self.by_label()
            self.answer({asked[2].cell_id: ACCEPT})
            vouched = answered_cells(newest(prediction))
            self.assertEqual([cell.label for cell in vouched], [2])
            left = [asked[label].cell_id for label in asked if label != 2]
            questions_release(dataset=self.dataset, annotator=self.bob, cells=left)
            again = {question.cell_id for question in self.ask(self.eve)}
            self.assertEqual(again, set(left))
            self.answer(dict.fromkeys(again, ACCEPT), self.eve)
            self.assertEqual(answered_cells(newest(prediction)).count(), len(left) + 1)

    def test_an_answer_for_a_cell_that_is_gone_is_not_its_neighbours(self) -> None:
        prediction = self.drawn(aslant())
        asked = self.by_label()
        left: dict[int, str | None] = {2: "HEK", 3: "HEK"}
        make_revision(
            prediction.image,
            labels=np.where(aslant() == 1, 0, aslant()),
            types=left,
            complete_regions=[],
            prediction=prediction,
        )
        came_to = self.answer({asked[2].cell_id: ACCEPT, asked[1].cell_id: REJECT})
        self.assertEqual(came_to.done, [asked[2].cell_id])
        self.assertEqual(set(came_to.refused), {asked[1].cell_id})
        self.assertEqual(set(self.types(prediction)), {2, 3})

    def test_who_said_that_it_is_no_cell_gives_no_other_one_a_type(self) -> None:
        prediction = self.drawn(aslant())
        asked = self.by_label()
        self.answer({asked[1].cell_id: REJECT})
        refused = self.answer({asked[1].cell_id: N2A}).refused
        self.assertIn("undo that first", refused[asked[1].cell_id])
        self.assertEqual(self.types(prediction), {2: "HEK", 3: "HEK"})

    def test_what_somebody_completed_is_asked_about_no_more_and_keeps_their_answer(self) -> None:
        by_window, by_list = self.predicted(), self.predicted()
        asked = {(q.cell.prediction, q.cell.label): q for q in self.ask()}
        make_revision(
            by_window.image,
            self.eve,
            labels=square_labels(3),
            types={1: "N2a", 2: "HEK", 3: "HEK"},
            complete_regions=[[0, 0, 30, 10]],
            prediction=by_window,
        )
        seen = Wanted(by_list.image, 0, by_list.pk, {1: N2A, 2: REJECT})
        cells_change(author=self.eve, wanted=[seen], seconds=1)
        still = {(q.cell.prediction, q.cell.label) for q in self.ask()}
        self.assertEqual(still, {(by_list, 3)})
        late = {asked[by_window, 1]: HEK, asked[by_window, 2]: REJECT, asked[by_list, 1]: HEK}
        came_to = self.answer({question.cell_id: answer for question, answer in late.items()})
        self.assertEqual((came_to.done, came_to.revisions), ([], []))
        self.assertEqual(len(came_to.refused), 3)
        self.assertEqual(self.types(by_window)[1], "N2a")
        self.assertEqual(self.types(by_list), {1: "N2a", 3: "HEK"})

    def test_the_writers_own_answer_may_be_another_one_later(self) -> None:
        prediction = self.predicted()
        asked = self.by_label()
        for answer, kind in ((HEK, "HEK"), (N2A, "N2a")):
            self.assertEqual(self.answer({asked[1].cell_id: answer}).refused, {})
            self.assertEqual(self.types(prediction)[1], kind)

    def test_an_answer_to_an_older_prediction_does_not_bring_its_cells_back(self) -> None:
        old = self.predicted()
        asked = self.by_label()
        self.version.stage = "retired"
        self.version.save()
        labels = square_labels(2)
        labels[30:44, 30:44] = 3
        new = make_prediction(old.image, make_version(self.dataset), labels)
        make_cells(new, type="HEK")
        fresh = {question.cell.label: question for question in self.ask(self.eve)}
        self.answer({fresh[3].cell_id: ACCEPT}, self.eve)
        came_to = self.answer({asked[1].cell_id: N2A, asked[3].cell_id: ACCEPT})
        self.assertEqual(came_to.done, [asked[1].cell_id])
        self.assertEqual(set(came_to.refused), {asked[3].cell_id})  # the new one does not draw it
        stored = storage.labels_get(newest(new).labels_key)
        np.testing.assert_array_equal(stored, labels)
        self.assertEqual(self.types(new), {1: "N2a", 2: "HEK", 3: "HEK"})

    def test_masks_that_do_not_fit_hold_up_no_other_images_answers(self) -> None:
        first, damaged, last = (self.predicted() for _ in range(3))
        asked = self.ask()
        damaged.labels_key = storage.labels_put(np.zeros((20, 20), np.uint16))
        damaged.save()
        came_to = self.answer({question.cell_id: ACCEPT for question in asked})
        done = {q.cell.prediction for q in asked if q.cell_id in came_to.done}
        self.assertEqual((done, len(came_to.done)), ({first, last}, 6))
        for why in came_to.refused.values():
            self.assertIn(damaged.image.name, why)
        self.assertEqual(self.ask(), [])

    def test_cells_aslant_that_were_stored_without_a_pixel_are_answered_one_by_one(self) -> None:
        prediction = self.drawn(aslant())
        prediction.cells.update(inner_x=None, inner_y=None)
        asked = self.by_label()
        for label in (2, 1, 3):
            came_to = self.answer({asked[label].cell_id: N2A})
            self.assertEqual((came_to.done, came_to.refused), ([asked[label].cell_id], {}))
        self.assertEqual(self.types(prediction), dict.fromkeys((1, 2, 3), "N2a"))

    def test_a_request_whose_end_was_lost_may_be_repeated(self) -> None:
        prediction = self.predicted()
        asked = self.by_label()
        answers = {asked[1].cell_id: N2A, asked[2].cell_id: REJECT, asked[3].cell_id: ACCEPT}
        with mock.patch(
            "annotator.services.questions.CellQuestion.objects.filter", side_effect=OperationalError
        ):
            self.assertRaises(OperationalError, self.answer, answers)
        self.assertEqual(CellQuestion.objects.exclude(answered_at=None).count(), 0)
        again = self.answer(answers)
        self.assertEqual((set(again.done), again.refused), (set(answers), {}))
        self.assertEqual(newest(prediction).number, 1)
        self.assertEqual(self.types(prediction), {1: "N2a", 3: "HEK"})

    def test_what_was_not_undone_is_not_open_again(self) -> None:
        prediction = self.predicted()
        one, other, _ = self.ask()
        self.answer({one.cell_id: ACCEPT})
        undone = self.answer({other.cell_id: ACCEPT}).revisions
        cells_undo(author=self.bob, revisions=undone)
        questions_reopen(
            annotator=self.bob, cells=[one.cell_id, other.cell_id], images=[prediction.image_id]
        )
        verdicts = {q.cell_id: q.verdict for q in CellQuestion.objects.all()}
        self.assertEqual(verdicts[one.cell_id], Verdict.ACCEPTED)
        self.assertEqual(verdicts[other.cell_id], "")

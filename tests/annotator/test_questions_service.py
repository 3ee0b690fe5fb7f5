"""Cells to ask about: which come first, one person each, and what answers make of them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import numpy as np
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from annotator import storage
from annotator.exceptions import NotReady
from annotator.models import CellQuestion, Dataset, Prediction, Revision, Verdict
from annotator.selectors.askable import PER_IMAGE
from annotator.services.cells import Answer, cells_undo
from annotator.services.predictions import predictions_prune
from annotator.services.questions import (
    Answered,
    questions_answer,
    questions_next,
    questions_release,
    questions_reopen,
)
from inference import embeddings
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

ACCEPT = Answer(Verdict.ACCEPTED)
REJECT = Answer(Verdict.REJECTED)


def user(name: str) -> User:
    return get_user_model().objects.create_user(name)


def vector(seed: int) -> bytes:
    rows = np.random.default_rng(seed).normal(size=(1, embeddings.SIZE))
    return embeddings.pack(embeddings.unit(rows))[0]


def newest(prediction: Prediction) -> Revision:
    return Revision.objects.filter(image=prediction.image).order_by("-number")[0]


class Asking(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.version = make_version(self.dataset)
        self.bob, self.eve = user("bob"), user("eve")

    def predicted(
        self, name: str = "", said: dict[int, dict[str, Any]] | None = None, **options: Any
    ) -> Prediction:
        """A training image of three predicted cells."""
        image = make_image(self.dataset, name, split=options.pop("split", "train"))
        prediction = make_prediction(image, self.version)
        make_cells(prediction, said, **{"type": "HEK"} | options)
        return prediction

    def ask(
        self, annotator: User | None = None, count: int = 20, **more: Any
    ) -> list[CellQuestion]:
        return questions_next(
            dataset=self.dataset, annotator=annotator or self.bob, count=count, **more
        )

    def answer(
        self, answers: dict[int, Answer], annotator: User | None = None, seconds: float = 4.0
    ) -> Answered:
        return questions_answer(
            dataset=self.dataset,
            annotator=annotator or self.bob,
            answers=answers,
            seconds=seconds,
        )


class Next(Asking):
    def test_the_most_uncertain_comes_first(self) -> None:
        self.predicted(said={1: {"uncertainty": 0.2}, 2: {"uncertainty": 0.9}})
        labels = [question.cell.label for question in self.ask(count=2)]
        self.assertEqual(labels, [2, 3])

    def test_without_a_model_it_says_what_to_do(self) -> None:
        self.version.delete()
        with self.assertRaisesMessage(NotReady, "train a segmenter"):
            self.ask()

    def test_only_training_images_and_the_current_models_are_asked_about(self) -> None:
        self.predicted(split="test")
        other = make_image(self.dataset, split="train")
        make_cells(make_prediction(other, make_version(self.dataset, stage="retired")))
        self.assertEqual(self.ask(), [])

    def test_a_batch_has_few_cells_of_one_image(self) -> None:
        image = make_image(self.dataset, split="train")
        make_cells(make_prediction(image, self.version, square_labels(12)), uncertainty=0.9)
        self.predicted(uncertainty=0.1)
        images = [question.cell.prediction.image for question in self.ask()]
        self.assertEqual(images.count(image), PER_IMAGE)
        self.assertEqual(len(images), PER_IMAGE + 3)

    def test_nearly_the_same_picture_is_asked_about_once(self) -> None:
        said = {label: {"embedding": vector(label)} for label in (1, 2, 3)}
        self.predicted(said=said)
        self.predicted(said={1: {"embedding": vector(1)}, 2: {"embedding": vector(7)}})
        chosen = [bytes(question.cell.embedding or b"") for question in self.ask()]
        self.assertEqual(chosen.count(vector(1)), 1)
        self.assertEqual(len(chosen), 5)

    def test_an_image_that_is_complete_is_not_asked_about(self) -> None:
        whole, partial = self.predicted(), self.predicted()
        make_revision(whole.image)
        # The first cell lies at x 0 … 8, y 0 … 8.
        make_revision(partial.image, complete_regions=[[0, 0, 9, 9]])
        asked = {(q.cell.prediction_id, q.cell.label) for q in self.ask()}
        self.assertEqual(asked, {(partial.pk, 2), (partial.pk, 3)})

    def test_who_holds_cells_gets_them_again_but_for_those_at_hand(self) -> None:
        for _ in range(3):
            self.predicted()
        first = self.ask(count=4)
        again = self.ask(count=4)
        self.assertEqual([q.cell_id for q in again], [q.cell_id for q in first])
        more = self.ask(count=4, holding=[q.cell_id for q in first])
        self.assertFalse({q.cell_id for q in more} & {q.cell_id for q in first})
        self.assertEqual(len(more), 4)

    def test_asking_renews_the_leases_of_what_is_at_hand(self) -> None:
        self.predicted()
        (question, *_) = self.ask()
        soon = timezone.now() + timedelta(seconds=20)
        CellQuestion.objects.update(leased_until=soon)
        self.ask(holding=[question.cell_id])
        question.refresh_from_db()
        assert question.leased_until is not None
        self.assertGreater(question.leased_until, soon + timedelta(minutes=10))

    def test_nobody_else_is_asked_until_the_lease_runs_out(self) -> None:
        self.predicted()
        mine = {question.cell_id for question in self.ask()}
        self.assertEqual(self.ask(self.eve), [])
        CellQuestion.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.assertEqual({question.cell_id for question in self.ask(self.eve)}, mine)

    def test_what_is_given_back_goes_to_others(self) -> None:
        self.predicted()
        cells = [question.cell_id for question in self.ask()]
        released = questions_release(dataset=self.dataset, annotator=self.eve, cells=cells)
        self.assertEqual(released, 0)
        questions_release(dataset=self.dataset, annotator=self.bob, cells=cells[:1])
        self.assertEqual([q.cell_id for q in self.ask(self.eve)], cells[:1])

    def test_a_prediction_that_somebody_is_asked_about_is_kept(self) -> None:
        old = self.predicted()
        self.ask()
        make_prediction(old.image, make_version(self.dataset, stage="candidate"))
        predictions_prune(image=old.image)
        self.assertTrue(Prediction.objects.filter(pk=old.pk).exists())
        CellQuestion.objects.update(leased_until=timezone.now())
        predictions_prune(image=old.image)
        self.assertFalse(Prediction.objects.filter(pk=old.pk).exists())


class LooksTests(Asking):
    def test_what_looks_like_what_was_answered_for_waits(self) -> None:
        done = self.predicted(said={label: {"embedding": vector(1)} for label in (1, 2, 3)})
        said = {label: {"embedding": vector(number)} for label, number in ((1, 1), (2, 2), (3, 1))}
        other = self.predicted(said={**said, 3: {"embedding": vector(1), "uncertainty": 0.4}})
        make_revision(done.image, self.eve, prediction=done)
        (first,) = self.ask(count=1)
        self.assertEqual((first.cell.prediction, first.cell.label), (other, 2))


class Answers(Asking):
    def cells(self, prediction: Prediction) -> list[int]:
        return list(prediction.cells.order_by("label").values_list("pk", flat=True))

    def test_answers_make_one_revision_per_image_and_are_kept(self) -> None:
        one, two = self.predicted(), self.predicted()
        self.ask()
        first, second, third = self.cells(one)
        done = self.answer(
            {
                first: ACCEPT,
                second: Answer(Verdict.RETYPED, "N2a"),
                self.cells(two)[0]: REJECT,
            },
            seconds=9.0,
        )
        self.assertEqual((len(done.done), done.refused), (3, {}))
        by_image = {revision.image_id: revision for revision in done.revisions}
        self.assertEqual(set(by_image), {one.image_id, two.image_id})
        self.assertEqual(by_image[one.image_id].seconds_spent, 6.0)
        verdicts = dict(CellQuestion.objects.values_list("cell", "verdict"))
        self.assertEqual((verdicts[first], verdicts[second]), ("accepted", "retyped"))
        self.assertEqual(verdicts[third], "")
        asked_again = {question.cell_id for question in self.ask(self.eve)}
        self.assertEqual(asked_again, set())  # the others are still in bob's hands

    def test_two_people_answer_for_cells_of_one_image(self) -> None:
        prediction = self.predicted()
        (mine,) = self.ask(self.bob, count=1)
        (theirs,) = self.ask(self.eve, count=1)
        self.answer({mine.cell_id: REJECT}, self.bob)
        done = self.answer({theirs.cell_id: Answer(Verdict.RETYPED, "N2a")}, self.eve)
        self.assertEqual(done.refused, {})
        head = prediction.image.revisions.get(number=2)
        types = dict(head.cells.values_list("label", "type__name"))
        self.assertNotIn(mine.cell.label, types)
        self.assertEqual(types[theirs.cell.label], "N2a")
        self.assertEqual(head.author, self.eve)

    def test_an_answer_sent_twice_counts_once(self) -> None:
        self.predicted()
        (question,) = self.ask(count=1)
        self.answer({question.cell_id: REJECT})
        again = self.answer({question.cell_id: REJECT})
        self.assertEqual((again.done, again.refused), ([question.cell_id], {}))
        self.assertEqual(Revision.objects.count(), 1)

    def test_who_is_not_asked_any_more_cannot_answer(self) -> None:
        self.predicted()
        (question,) = self.ask(count=1)
        CellQuestion.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.ask(self.eve)
        late = self.answer({question.cell_id: REJECT})
        self.assertIn("eve is asked about it now", late.refused[question.cell_id])
        self.answer({question.cell_id: ACCEPT}, self.eve)
        late = self.answer({question.cell_id: REJECT})
        self.assertIn("eve has answered already", late.refused[question.cell_id])
        self.assertEqual(Revision.objects.get().author, self.eve)

    def test_who_is_late_may_answer_while_nobody_else_is_asked(self) -> None:
        self.predicted()
        (question,) = self.ask(count=1)
        CellQuestion.objects.update(leased_until=timezone.now() - timedelta(hours=1))
        self.assertEqual(self.answer({question.cell_id: REJECT}).refused, {})

    def test_a_cell_of_another_data_set_or_gone_is_told_of(self) -> None:
        done = self.answer({12345: ACCEPT})
        self.assertIn("gone", done.refused[12345])

    def test_an_image_corrected_as_a_whole_meanwhile_needs_no_answer(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask(count=1)
        make_revision(prediction.image)
        done = self.answer({question.cell_id: REJECT})
        self.assertIn("as a whole", done.refused[question.cell_id])
        self.assertEqual(prediction.image.revisions.count(), 1)
        self.assertEqual(self.ask(), [])  # nor is anybody asked again

    def test_a_cell_that_was_deleted_in_the_editor_meanwhile_is_told_of(self) -> None:
        prediction = self.predicted()
        asked = {question.cell.label: question.cell_id for question in self.ask()}
        labels = square_labels(3)
        labels[labels == 2] = 0
        make_revision(
            prediction.image,
            labels=labels,
            types={1: "HEK", 3: "HEK"},
            complete_regions=[],
            prediction=prediction,
        )
        done = self.answer({asked[2]: REJECT, asked[3]: ACCEPT})
        self.assertEqual((done.done, list(done.refused)), ([asked[3]], [asked[2]]))
        again = [question.cell_id for question in [*self.ask(), *self.ask(self.eve)]]
        self.assertNotIn(asked[2], again)

    def test_after_a_promotion_answers_stand_on_those_from_before(self) -> None:
        old = self.predicted()
        first = self.cells(old)[0]
        self.ask()
        self.answer({first: Answer(Verdict.RETYPED, "N2a")})
        CellQuestion.objects.update(leased_until=None)
        self.version.stage = "retired"
        self.version.save()
        labels = np.zeros((48, 64), np.uint16)
        labels[0:9, 0:9] = 1  # the answered cell, drawn a little larger
        labels[20:30, 20:30] = 2  # a cell that the old model had not seen
        labels[0:8, 10:18] = 7  # the second one, with another number
        new = make_prediction(old.image, make_version(self.dataset), labels)
        make_cells(new, type="HEK")
        asked = {question.cell.label: question.cell_id for question in self.ask()}
        self.assertEqual(set(asked), {2, 7})
        done = self.answer({asked[2]: ACCEPT})
        self.assertEqual(done.refused, {})
        head = newest(old)
        shown = storage.labels_get(head.labels_key)
        types = dict(head.cells.values_list("label", "type__name"))
        self.assertEqual(types[int(shown[4, 4])], "N2a")
        self.assertEqual((shown > 0)[0:9, 0:9].sum(), 64)  # as somebody answered for it
        self.assertGreater(shown[25, 25], 0)
        self.assertGreater(shown[4, 14], 0)
        self.assertEqual(shown[4, 24], 0)  # the new model does not see the third cell any more
        complete = painted(head.complete_regions or [], (0, 0, 64, 48))
        self.assertTrue(complete[0:8, 0:8].all() and complete[20:30, 20:30].all())
        self.assertFalse(complete[0:8, 10:18].any())
        self.assertEqual(head.corrected_cells, 0)
        third = self.answer({asked[7]: REJECT})
        self.assertEqual(third.refused, {})
        head = newest(old)
        self.assertEqual(storage.labels_get(head.labels_key)[4, 14], 0)

    def test_undone_answers_are_asked_again(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask(count=1)
        done = self.answer({question.cell_id: REJECT})
        cells_undo(author=self.bob, revisions=done.revisions)
        questions_reopen(annotator=self.bob, cells=[question.cell_id], images=[prediction.image_id])
        self.assertIn(question.cell_id, [each.cell_id for each in self.ask()])
        again = self.answer({question.cell_id: ACCEPT})
        self.assertEqual((again.done, again.refused), ([question.cell_id], {}))
        self.assertEqual(Revision.objects.count(), 3)


class RaceTest(TransactionTestCase):
    """Real threads with their own connections, on SQLite and on Postgres alike."""

    def together(self, works: list[Any]) -> list[Any]:
        barrier = threading.Barrier(len(works))
        got: list[Any] = []

        def run(work: Any) -> None:
            try:
                barrier.wait()
                got.append(work())
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), len(works), "a thread failed")
        return got

    def predicted(self, images: int) -> Dataset:
        dataset = make_dataset()
        version = make_version(dataset)
        for _ in range(images):
            make_cells(make_prediction(make_image(dataset, split="train"), version))
        return dataset

    def test_people_asking_at_once_never_get_the_same_cell(self) -> None:
        dataset = self.predicted(8)
        people = [user(f"annotator{number}") for number in range(6)]
        got = self.together(
            [
                lambda person=person: questions_next(dataset=dataset, annotator=person, count=6)
                for person in people
            ]
        )
        leased = [question.cell_id for questions in got for question in questions]
        self.assertEqual(len(leased), len(set(leased)))
        self.assertEqual(len(leased), 24)  # all of them: 8 images of 3
        held = CellQuestion.objects.filter(annotator__in=people, answered_at=None)
        self.assertEqual(held.count(), 24)

    def test_answers_for_one_image_at_once_are_all_kept(self) -> None:
        dataset = self.predicted(1)
        people = [user(f"annotator{number}") for number in range(3)]
        asked = [questions_next(dataset=dataset, annotator=person, count=1)[0] for person in people]

        def answering(person: User, cell: int) -> Any:
            return lambda: questions_answer(
                dataset=dataset, annotator=person, answers={cell: REJECT}, seconds=1.0
            )

        done = self.together(
            [
                answering(person, question.cell_id)
                for person, question in zip(people, asked, strict=True)
            ]
        )
        self.assertEqual([each.refused for each in done], [{}] * 3)
        head = Revision.objects.order_by("-number").first()
        assert head is not None
        self.assertEqual((head.number, head.cell_count), (3, 0))

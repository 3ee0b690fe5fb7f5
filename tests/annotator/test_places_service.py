"""Places where a cell seems to be missing: who is asked about them, and what answers make."""

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
from annotator.exceptions import BadInput
from annotator.models import Image, PlaceQuestion, Prediction, QueueItem, Revision, Verdict
from annotator.selectors.askable import PER_IMAGE
from annotator.services.cells import Answer, cells_undo
from annotator.services.places import (
    AnsweredPlaces,
    places_answer,
    places_next,
    places_release,
    places_reopen,
)
from annotator.services.predictions import predictions_prune
from annotator.services.questions import questions_answer, questions_next
from inference.rectangles import painted
from tests.annotator.factories import (
    make_cells,
    make_dataset,
    make_image,
    make_prediction,
    make_revision,
    make_version,
)

CELL = Answer(Verdict.ACCEPTED)
NONE = Answer(Verdict.REJECTED)
SPOT = (40.0, 30.0)


def user(name: str) -> User:
    return get_user_model().objects.create_user(name)


def with_blob(seed: int = 0) -> Any:
    """A dark field with one bright disc at ``SPOT``, 10 px across, that no mask shows."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (2, 48, 64)).astype(np.uint16)
    rows, columns = np.mgrid[:48, :64]
    image[:, np.hypot(rows - SPOT[1], columns - SPOT[0]) <= 5] += 900
    return image


class Places(TestCase):
    def setUp(self) -> None:
        self.dataset = make_dataset()
        self.version = make_version(self.dataset)
        self.bob, self.eve = user("bob"), user("eve")

    def predicted(self, name: str = "", at: Any = None, **options: Any) -> Prediction:
        """A training image of three cells in its corner, and a fourth that was missed."""
        spots = [[*SPOT, 0.8]] if at is None else at
        split = options.pop("split", "train")
        image = make_image(self.dataset, name, with_blob(self.dataset.images.count()), split=split)
        options.setdefault("missed", sum(spot[2] for spot in spots))
        prediction = make_prediction(image, self.version, missed_at=spots, **options)
        make_cells(prediction, type="HEK")
        return prediction

    def ask(self, person: User | None = None, count: int = 9, **more: Any) -> list[PlaceQuestion]:
        return places_next(dataset=self.dataset, annotator=person or self.bob, count=count, **more)

    def answer(
        self, answers: dict[int, Answer], person: User | None = None, seconds: float | None = None
    ) -> AnsweredPlaces:
        return places_answer(
            dataset=self.dataset, annotator=person or self.bob, answers=answers, seconds=seconds
        )


class Next(Places):
    def test_the_likeliest_come_first_and_hardly_likely_ones_never(self) -> None:
        low = self.predicted(at=[[*SPOT, 0.3], [20.0, 40.0, 0.1]])
        high = self.predicted(at=[[*SPOT, 0.9]])
        asked = self.ask()
        self.assertEqual([each.prediction for each in asked], [high, low])

    def test_few_places_of_one_image_in_a_batch(self) -> None:
        self.predicted(at=[[8.0 * n + 4, 40.0, 0.5] for n in range(PER_IMAGE + 3)])
        self.assertEqual(len(self.ask()), PER_IMAGE)

    def test_two_people_are_asked_about_different_places_and_may_give_them_back(self) -> None:
        self.predicted(at=[[12.0, 40.0, 0.5], [40.0, 30.0, 0.9]])
        (mine,) = self.ask(count=1)
        (theirs,) = self.ask(self.eve, count=1)
        self.assertNotEqual(mine, theirs)
        self.assertEqual(self.ask(count=5), [mine])
        self.assertEqual(self.ask(count=5, holding=[mine.pk]), [])
        places_release(dataset=self.dataset, annotator=self.bob, places=[mine.pk, theirs.pk])
        self.assertEqual(self.ask(self.eve, holding=[theirs.pk]), [mine])

    def test_not_of_test_images_nor_of_complete_ones_nor_of_what_is_complete(self) -> None:
        self.predicted(split="test")
        whole, part = self.predicted(), self.predicted()
        make_revision(whole.image, self.eve, prediction=whole)
        make_revision(part.image, self.eve, prediction=part, complete_regions=[[30, 20, 60, 48]])
        self.assertEqual(self.ask(), [])

    def test_not_of_what_whoever_holds_it_drew_in_the_editor(self) -> None:
        part = self.predicted()
        self.assertEqual(len(self.ask()), 1)
        make_revision(part.image, self.bob, prediction=part, complete_regions=[[30, 20, 60, 48]])
        self.assertEqual(self.ask(), [])

    def test_what_is_offered_is_the_blob_in_the_pixels(self) -> None:
        self.predicted()
        (question,) = self.ask()
        pixels = {(y, x) for y, x0, x1 in question.spans for x in range(x0, x1)}
        self.assertIn((30, 40), pixels)
        self.assertAlmostEqual(len(pixels), np.pi * 25, delta=12)
        self.assertTrue(question.crop["picture"] and question.crop["outline"].startswith("M"))
        self.assertGreaterEqual(question.crop["side"], 20)

    def test_a_place_without_room_for_a_cell_keeps_no_others_from_being_asked(self) -> None:
        self.predicted(at=[[4.0, 4.0, 0.9], [14.0, 4.0, 0.9], [*SPOT, 0.4]])
        whole = make_prediction(
            make_image(self.dataset, array=with_blob(99), split="train"),
            self.version,
            np.ones((48, 64), np.uint16),
            missed_at=[[8.0 * n, 20.0, 1.0] for n in range(4)],
            missed=4.0,
        )
        (question,) = self.ask(count=1)
        self.assertEqual((question.x, question.y), SPOT)
        closed = PlaceQuestion.objects.filter(prediction=whole)
        self.assertEqual(list(closed.values_list("spans", flat=True)), [[]] * 4)
        self.assertEqual(self.ask(self.eve), [])

    def test_an_image_that_cannot_be_read_keeps_no_others_from_being_asked(self) -> None:
        broken = self.predicted(at=[[*SPOT, 1.0]])
        readable = self.predicted(at=[[*SPOT, 0.5]])
        Prediction.objects.filter(pk=broken.pk).update(labels_key="labels/lost")
        with self.assertLogs("annotator.services.places", "WARNING"):
            self.assertEqual([each.prediction for each in self.ask()], [readable])

    def test_two_places_within_a_cell_are_not_asked_about_together(self) -> None:
        self.predicted(at=[[*SPOT, 0.9], [SPOT[0] + 4, SPOT[1], 0.8]])
        self.assertEqual(len(self.ask()), 1)

    def test_a_far_corner_of_an_image_is_no_trouble(self) -> None:
        self.predicted(at=[[63.9, 47.9, 0.9], [0.0, 47.0, 0.8]])
        asked = self.ask()
        done = self.answer({each.pk: (CELL, NONE)[n % 2] for n, each in enumerate(asked)})
        self.assertEqual((len(done.done), done.refused), (2, {}))


class Answers(Places):
    def test_a_cell_is_added_where_it_was_shown_and_its_place_is_complete(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        done = self.answer({question.pk: Answer(Verdict.RETYPED, "N2a")}, seconds=4.0)
        self.assertEqual((done.done, done.refused), ([question.pk], {}))
        head = prediction.image.revisions.get()
        labels = storage.labels_get(head.labels_key)
        new = int(labels[30, 40])
        self.assertEqual(new, 4)
        self.assertEqual(dict(head.cells.values_list("label", "type__name"))[new], "N2a")
        self.assertEqual(head.cells.get(label=new).type_source, "human")
        self.assertEqual((head.seconds_spent, head.corrected_cells), (4.0, 1))
        complete = painted(head.complete_regions or [], (0, 0, 64, 48))
        self.assertTrue(complete[labels == new].all())
        self.assertFalse(complete[labels == 1].any())
        self.assertEqual(self.ask(), [])

    def test_an_accepted_cell_of_a_single_type_culture_has_its_type(self) -> None:
        prediction = self.predicted("N2a_b1_1.tif")
        (question,) = self.ask()
        self.answer({question.pk: CELL})
        kinds = prediction.image.revisions.get().cells.values_list("type__name", "type_source")
        self.assertEqual(set(kinds), {("N2a", "file_name")})

    def test_where_nothing_is_the_place_is_complete_and_empty(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        self.answer({question.pk: NONE})
        head = prediction.image.revisions.get()
        labels = storage.labels_get(head.labels_key)
        complete = painted(head.complete_regions or [], (0, 0, 64, 48))
        self.assertEqual(int(labels.max()), 3)
        self.assertTrue(complete[30, 40])
        self.assertLess(int(complete.sum()), 80)
        self.assertEqual(self.ask(), [])

    def test_answers_about_cells_and_places_of_one_image_follow_one_another(self) -> None:
        prediction = self.predicted()
        (place,) = self.ask()
        cell, *_ = questions_next(dataset=self.dataset, annotator=self.eve, count=1)
        self.answer({place.pk: CELL})
        questions_answer(
            dataset=self.dataset,
            annotator=self.eve,
            answers={cell.cell_id: Answer(Verdict.REJECTED)},
            seconds=None,
        )
        head = prediction.image.revisions.get(number=2)
        self.assertIn(4, head.cells.values_list("label", flat=True))
        self.assertNotIn(cell.cell.label, head.cells.values_list("label", flat=True))

    def test_an_undone_answer_is_asked_again(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        done = self.answer({question.pk: CELL})
        cells_undo(author=self.bob, revisions=done.revisions)
        places_reopen(annotator=self.bob, places=[question.pk], images=[prediction.image_id])
        labels = storage.labels_get(prediction.image.revisions.get(number=2).labels_key)
        self.assertEqual(int(labels.max()), 3)
        self.assertEqual(self.ask(), [question])
        self.assertEqual(self.answer({question.pk: NONE}).refused, {})

    def test_an_answer_sent_twice_counts_once(self) -> None:
        self.predicted()
        (question,) = self.ask()
        self.answer({question.pk: CELL})
        again = self.answer({question.pk: CELL})
        self.assertEqual((again.done, again.refused), ([question.pk], {}))
        self.assertEqual(Revision.objects.count(), 1)
        for other in (NONE, Answer(Verdict.RETYPED, "N2a")):
            refused = self.answer({question.pk: other}).refused[question.pk]
            self.assertIn("otherwise: undo", refused)

    def test_an_image_that_came_to_measure_the_models_takes_no_answer(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        Image.objects.filter(pk=prediction.image_id).update(split="test")
        self.assertIn("measures", self.answer({question.pk: CELL}).refused[question.pk])

    def test_who_has_the_image_in_the_editor_answers_there(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        QueueItem.objects.create(
            image=prediction.image,
            score=1.0,
            annotator=self.bob,
            leased_until=timezone.now() + timedelta(minutes=5),
        )
        self.assertIn("editor", self.answer({question.pk: CELL}).refused[question.pk])
        self.assertEqual(self.ask(), [])  # nor is it asked about again until then

    def test_why_an_answer_comes_to_nothing(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        self.assertIn("gone", self.answer({question.pk + 9: CELL}).refused[question.pk + 9])
        self.assertIn("bob", self.answer({question.pk: CELL}, self.eve).refused[question.pk])
        labels = storage.labels_get(prediction.labels_key)
        labels[20:44, 30:52] = 4
        make_revision(
            prediction.image, self.eve, labels, prediction=prediction, complete_regions=[]
        )
        refused = self.answer({question.pk: CELL}).refused[question.pk]
        self.assertIn("drawn there", refused)
        # Nobody is asked about it again.
        self.assertEqual((self.ask(), self.ask(self.eve)), ([], []))
        with self.assertRaisesRegex(BadInput, "type Foo is unknown"):
            self.answer({question.pk: Answer(Verdict.RETYPED, "Foo")})

    def test_late_answers_count_unless_somebody_else_was_asked(self) -> None:
        self.predicted()
        (question,) = self.ask()
        PlaceQuestion.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.ask(self.eve)
        self.assertIn("eve", self.answer({question.pk: CELL}).refused[question.pk])

    def test_a_prediction_that_is_asked_about_is_kept_until_the_answer(self) -> None:
        prediction = self.predicted()
        (question,) = self.ask()
        newer = make_version(self.dataset, stage="candidate")
        make_prediction(prediction.image, newer)
        predictions_prune(image=prediction.image)
        self.assertEqual(self.answer({question.pk: CELL}).done, [question.pk])


class RaceTest(TransactionTestCase):
    """Real threads with their own connections, on SQLite and on Postgres alike."""

    def test_people_asking_at_once_never_get_the_same_place(self) -> None:
        dataset = make_dataset()
        version = make_version(dataset)
        for seed in range(6):
            image = make_image(dataset, array=with_blob(seed), split="train")
            spots = [[*SPOT, 0.8], [12.0, 40.0, 0.5]]
            make_prediction(image, version, missed_at=spots, missed=1.3)
        people = [user(f"annotator{number}") for number in range(4)]
        barrier = threading.Barrier(len(people))
        got: list[int] = []

        def run(person: User) -> None:
            try:
                barrier.wait()
                asked = places_next(dataset=dataset, annotator=person, count=4)
                got.extend(each.pk for each in asked)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(got), len(set(got)))
        held = PlaceQuestion.objects.filter(annotator__in=people, answered_at=None)
        self.assertEqual(held.count(), len(got))
        self.assertGreaterEqual(len(got), 4)


class LatePlaces(Places):
    def test_where_somebody_has_drawn_or_called_it_empty_the_first_answer_stands(self) -> None:
        prediction = self.predicted()
        (asked,) = self.ask()
        make_revision(
            prediction.image,
            self.eve,
            storage.labels_get(prediction.labels_key),
            complete_regions=[[30, 20, 50, 40]],
            prediction=prediction,
        )
        came_to = self.answer({asked.pk: CELL})
        self.assertEqual((came_to.done, set(came_to.refused)), ([], {asked.pk}))
        self.assertEqual(Revision.objects.count(), 1)

    def test_a_place_of_masks_that_do_not_fit_is_asked_about_once(self) -> None:
        prediction = self.predicted()
        (asked,) = self.ask()
        prediction.labels_key = storage.labels_put(np.zeros((20, 20), np.uint16))
        prediction.save()
        came_to = self.answer({asked.pk: CELL})
        self.assertIn(prediction.image.name, came_to.refused[asked.pk])
        self.assertEqual(self.ask(), [])

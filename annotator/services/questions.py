"""Asking about single cells: leases of those most worth an answer, and the answers.

A lease is a time, taken by a conditional UPDATE of the cell's one row, so two annotators are never
asked about the same cell at the same time, on SQLite and on Postgres alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from annotator.exceptions import Conflict, NotReady, StaleRevision, Unavailable, UnusableLabels
from annotator.models import (
    GALLERY,
    CellQuestion,
    Dataset,
    Image,
    PlaceQuestion,
    PredictedCell,
    Revision,
    Verdict,
)
from annotator.selectors.askable import askable_predictions, cells_to_ask, still_open
from annotator.selectors.queue import is_free
from annotator.selectors.versions import current_pair
from annotator.services.cells import Answer, answers_put, check_types
from annotator.services.shown import State, state_for
from inference.rectangles import painted

_LOOKS = 5  # at so many cells, before a batch stays short
_TRIES = 8  # rivals who may answer for cells of the same image between our reading and writing

NOT_READ = "{why} Nothing was stored; it will be asked again."
CHANGED = "Somebody has changed it in the meantime."
DONE = "Somebody has answered for it in the meantime."
NO_CELL = "You have said that it is no cell: undo that first."


@dataclass
class Answered:
    """What became of answers: revisions made, cells done, and why others came to nothing."""

    revisions: list[Revision] = field(default_factory=list)
    done: list[int] = field(default_factory=list)  # ids of cells
    refused: dict[int, str] = field(default_factory=dict)  # by the cell's id


def asks_type(image: Image) -> bool:
    """Whether people are asked for the type of the image's cells: its name does not tell it."""
    return image.culture_type_id is None


def questions_next(
    *, dataset: Dataset, annotator: User, count: int, holding: Sequence[int] = ()
) -> list[CellQuestion]:
    """Lease up to ``count`` cells to ``annotator``, the most worth an answer first, each with its
    nearest neighbour.

    Cells that they hold already come before others, but for those of ``holding`` (cell ids), which
    they have at hand: their leases are renewed. Only training images are asked about: a test image
    measures by all of its cells. Raises NotReady while there is no model.
    """
    if current_pair(dataset) is None:
        raise NotReady("Cells can be asked about once there is a model: train a segmenter first.")
    until = timezone.now() + timedelta(minutes=dataset.lease_minutes)
    held = _questions().filter(
        cell__prediction__image__dataset=dataset,
        annotator=annotator,
        answered_at=None,
        leased_until__gt=timezone.now(),
    )
    pks = list(held.values_list("pk", flat=True))
    CellQuestion.objects.filter(pk__in=pks, annotator=annotator, answered_at=None).update(
        leased_until=until
    )
    # Who has an image in the editor by now answers there; what is complete needs no answer.
    asked = _questions().filter(pk__in=pks, cell__prediction__in=askable_predictions(dataset))
    needed = still_open(asked.exclude(cell__in=holding).values_list("cell", flat=True))
    got = list(asked.filter(cell__in=needed)[:count])
    for _ in range(_LOOKS):
        chosen = cells_to_ask(dataset, count - len(got))
        leased = _leased(chosen, annotator, until)
        got += leased
        if len(leased) == len(chosen):
            break  # else rivals were faster
    return got


def _questions() -> QuerySet[CellQuestion]:
    return CellQuestion.objects.select_related(
        "annotator", "cell__type", "cell__prediction__image__dataset"
    ).order_by("pk")  # as they were first asked about: neighbours stay together


def _leased(cells: Sequence[int], annotator: User, until: datetime) -> list[CellQuestion]:
    """Those of ``cells`` that nobody else took a moment before, in their order."""
    try:
        CellQuestion.objects.bulk_create(
            [CellQuestion(cell_id=cell) for cell in cells], ignore_conflicts=True
        )
    except IntegrityError:  # an image of theirs was predicted again a moment before
        return []
    # One by one: rivals who lock several rows, each in another order, would wait for each other.
    free = CellQuestion.objects.filter(is_free(timezone.now()), answered_at=None)
    taken = [
        cell
        for cell in cells
        if free.filter(cell=cell).update(annotator=annotator, leased_until=until) == 1
    ]
    found = {question.cell_id: question for question in _questions().filter(cell__in=taken)}
    return [found[cell] for cell in taken if cell in found]


def questions_release(*, dataset: Dataset, annotator: User, cells: Sequence[int]) -> int:
    """Give cells back for others to be asked about; how many were ``annotator``'s."""
    asked = CellQuestion.objects.filter(cell__in=cells, cell__prediction__image__dataset=dataset)
    return given_back(asked, annotator)


def given_back(asked: QuerySet[Any], annotator: User) -> int:
    """End the leases that ``annotator`` has of questions about cells or places; how many."""
    open_ones = asked.filter(annotator=annotator, answered_at=None)
    return open_ones.update(annotator=None, leased_until=None)


def questions_answer(
    *, dataset: Dataset, annotator: User, answers: Mapping[int, Answer], seconds: float | None
) -> Answered:
    """Take ``answers`` by cell id: a revision per image, with the answered cells complete.

    Whose lease ran out may answer as long as nobody else was asked. Answers to what is not there
    any more come to nothing and are told of. The same request may be repeated.

    Raises BadInput for an unknown type and Unavailable when storage fails.
    """
    asked = _questions().filter(cell__in=list(answers), cell__prediction__image__dataset=dataset)
    check_types(dataset, answers)
    known = {question.cell_id: question for question in asked}
    share = None if seconds is None else seconds / max(1, len(answers))
    answering = _Answering(annotator, answers, share)
    images: dict[int, list[CellQuestion]] = defaultdict(list)
    for cell in answers:
        question = known.get(cell)
        if question is None:
            answering.came_to.refused[cell] = (
                "It is gone: its image was predicted again, or deleted."
            )
        elif not answering.settles(question):
            images[question.cell.prediction_id].append(question)
    unread: list[tuple[list[CellQuestion], Unavailable]] = []
    for questions in images.values():
        try:
            answering.put(questions)
        except Unavailable as error:  # of one image: the others' answers are not held up
            unread.append((questions, error))
        except UnusableLabels as error:  # nor will it be another time
            answering.give_up(questions, error.message)
    for questions, failure in unread:
        if not answering.came_to.done:
            raise failure
        answering.give_back(questions, NOT_READ.format(why=failure.message))
    return answering.came_to


@dataclass(frozen=True)
class _Answering:
    """One request's answers on their way into revisions."""

    annotator: User
    answers: Mapping[int, Answer]  # by the cell's id
    seconds: float | None  # for each
    came_to: Answered = field(default_factory=Answered)

    def settles(self, question: CellQuestion) -> bool:
        """Whether nothing is left to do: it was answered like this before, or cannot be."""
        cell, answer = question.cell_id, self.answers[question.cell_id]
        if question.annotator != self.annotator:
            self.came_to.refused[cell] = whose(question)
            return True
        # A type may be given again, another one.
        if question.verdict == answer.verdict != Verdict.RETYPED:
            self.came_to.done.append(cell)
            return True
        return False

    def put(self, questions: Sequence[CellQuestion]) -> None:
        """Answers to cells of one prediction, as a revision of its image."""
        prediction = questions[0].cell.prediction
        for _ in range(_TRIES):
            try:
                state, places = state_for(prediction)
                gone = [each for each in questions if each.cell.label not in places]
                late = self._late(questions, state, places)
                asked = [each for each in questions if each not in gone and each not in late]
                revision = self._append(prediction.image, state, places, asked)
            except StaleRevision:
                continue  # somebody answered for other cells of the image: on top of theirs
            except Conflict as error:
                self.give_back(questions, error.message)
                return
            self.came_to.revisions += [revision] if revision else []
            self._close(asked)
            for each in (*gone, *late):
                self._settle(each, state, places.get(each.cell.label))
            return
        self._refuse(
            questions, f"{prediction.image.name} is being changed by others; answer once more."
        )

    def _append(
        self,
        image: Image,
        state: State,
        places: Mapping[int, int],
        questions: Sequence[CellQuestion],
    ) -> Revision | None:
        by_label = {places[each.cell.label]: self.answers[each.cell_id] for each in questions}
        seconds = None if self.seconds is None else self.seconds * len(by_label)
        return answers_put(
            image=image, author=self.annotator, state=state, answers=by_label, seconds=seconds
        )

    def _late(
        self, questions: Sequence[CellQuestion], state: State, places: Mapping[int, int]
    ) -> list[CellQuestion]:
        """Those not answered yet whose cells are complete: by other ways than this question."""
        fresh = [each for each in questions if not each.verdict and each.cell.label in places]
        return [each for each in fresh if _is_complete(state, places[each.cell.label], each.cell)]

    def _settle(self, question: CellQuestion, state: State, here: int | None) -> None:
        """Of one whose cell is gone (``here`` is None) or complete already: it is answered like
        this by what a lost request of the same person stored, or refused.
        """
        if question.verdict == Verdict.REJECTED:
            self._refuse([question], NO_CELL)
        elif self._said_before(question, state, here):
            self._close([question])
        else:
            self.give_up([question], CHANGED if here is None else DONE)

    def _said_before(self, question: CellQuestion, state: State, here: int | None) -> bool:
        answer, image = self.answers[question.cell_id], question.cell.prediction.image
        same = here is None if answer.verdict == Verdict.REJECTED else here is not None
        if not same or answer.type not in (None, state.types.get(here or 0)):
            return False
        head = image.revisions.filter(number=state.number, author=self.annotator, source=GALLERY)
        return head.exists()

    def give_up(self, questions: Sequence[CellQuestion], why: str) -> None:
        """Nobody is asked about them again, though what has changed them be undone."""
        self._refuse(questions, why)
        _rows(questions).filter(answered_at=None).update(answered_at=timezone.now())

    def give_back(self, questions: Sequence[CellQuestion], why: str) -> None:
        """Else they would be asked about again at once, as cells held already."""
        self._refuse(questions, why)
        given_back(_rows(questions), self.annotator)

    def _refuse(self, questions: Sequence[CellQuestion], why: str) -> None:
        self.came_to.refused |= {question.cell_id: why for question in questions}

    def _close(self, questions: Sequence[CellQuestion]) -> None:
        for question in questions:
            CellQuestion.objects.filter(pk=question.pk).update(
                annotator=self.annotator,  # somebody may have been asked in this very moment
                answered_at=timezone.now(),
                verdict=self.answers[question.cell_id].verdict,
                seconds_spent=self.seconds,
            )
            self.came_to.done.append(question.cell_id)


def _is_complete(state: State, label: int, cell: PredictedCell) -> bool:
    """Whether half of what lies of cell ``label`` where the predicted ``cell`` lay is complete."""
    x0, y0, x1, y1 = cell.bbox
    mine = state.labels[y0:y1, x0:x1] == label
    known = mine & painted(state.regions or (), cell.bbox)
    return bool(2 * known.sum() >= max(1, mine.sum()))


def _rows(questions: Sequence[CellQuestion]) -> QuerySet[CellQuestion]:
    return CellQuestion.objects.filter(pk__in=[question.pk for question in questions])


def whose(question: CellQuestion | PlaceQuestion) -> str:
    """Why a person who is not asked about it cannot answer."""
    if question.answered_at is not None and not question.verdict:
        return CHANGED
    if question.answered_at is not None:
        return f"{question.annotator or 'Somebody else'} has answered already."
    if question.annotator is None:
        return "It was given back in the meantime."
    return f"Your time for it ran out, and {question.annotator} is asked about it now."


def questions_reopen(*, annotator: User, cells: Sequence[int], images: Sequence[int]) -> None:
    """Ask ``annotator`` again about ``cells`` of ``images`` whose answers were undone: those that
    are complete no longer.
    """
    for question in _questions().filter(
        cell__in=still_open(cells), annotator=annotator, cell__prediction__image__in=images
    ):
        lease = timedelta(minutes=question.cell.prediction.image.dataset.lease_minutes)
        CellQuestion.objects.filter(pk=question.pk).update(
            answered_at=None, verdict="", leased_until=timezone.now() + lease
        )

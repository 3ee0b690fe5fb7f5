"""Asking about places where a cell seems to be that no model drew: leases, and the answers.

What is offered as the cell's outline is kept with the question: what was seen is what is stored.
Leases are those of ``questions``.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from annotator.exceptions import (
    Conflict,
    StaleRevision,
    Unavailable,
    UnreadableImage,
    UnusableLabels,
)
from annotator.models import (
    GALLERY,
    Dataset,
    Image,
    PlaceQuestion,
    Prediction,
    Revision,
    Split,
    TypeSource,
    Verdict,
)
from annotator.selectors.askable import (
    PER_IMAGE,
    askable_predictions,
    lies_in,
    places_still_open,
)
from annotator.selectors.asking import complete_regions
from annotator.selectors.queue import is_free
from annotator.services.annotations import RevisionDetails, revision_submit
from annotator.services.cells import Answer, check_not_held, check_types, with_part
from annotator.services.offers import Piece, offers, painted_spans
from annotator.services.questions import NOT_READ, given_back, whose
from annotator.services.shown import State, state_for
from inference.rectangles import Rectangle

log = logging.getLogger(__name__)

LEAST = 0.2  # cells that seem to be at a place from which it is asked about
_LOOKED = 400  # predictions, those with most missing first, that are looked at
_LOOKS = 20  # for places, before a batch stays short: at many no cell may have room
_TRIES = 8  # rivals who may answer for the same image between our reading and writing
_LEFT = 0.9  # of an outline must be free still, to be a cell
_EMPTY = 0.35  # of a diameter: radius of what is known to be empty where no cell is

_DRAWN = "A cell has been drawn there in the meantime."
_GONE = "It is gone: its image was predicted again, or deleted."
_OTHERWISE = "You have answered already, otherwise: undo that first."


@dataclass
class AnsweredPlaces:
    """What became of answers: revisions, ids of questions done, and why others came to nothing."""

    revisions: list[Revision] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


def places_next(
    *, dataset: Dataset, annotator: User, count: int, holding: Sequence[int] = ()
) -> list[PlaceQuestion]:
    """Lease up to ``count`` places to ``annotator``, those where a cell is likeliest first.

    Those held already come before them, but for those of ``holding`` (ids), which are only renewed.
    """
    until = timezone.now() + timedelta(minutes=dataset.lease_minutes)
    held = _places(dataset).filter(
        annotator=annotator, answered_at=None, leased_until__gt=timezone.now()
    )
    pks = list(held.values_list("pk", flat=True))
    PlaceQuestion.objects.filter(pk__in=pks, annotator=annotator, answered_at=None).update(
        leased_until=until
    )
    asked = _places(dataset).filter(pk__in=pks, prediction__in=askable_predictions(dataset))
    got = places_still_open(asked.exclude(pk__in=holding))[:count]
    unreadable: set[int] = set()
    for _ in range(_LOOKS):
        chosen = _chosen(dataset, count, got, unreadable)
        if not chosen:
            break
        for prediction, places in chosen.items():
            got += _leased(prediction, places, annotator, until, unreadable)
    return got


def _places(dataset: Dataset) -> QuerySet[PlaceQuestion]:
    related = ("annotator", "prediction__image__dataset", "prediction__image__culture_type")
    return (
        PlaceQuestion.objects.select_related(*related)
        .defer("prediction__missed_at", "prediction__style", "prediction__summary")
        .filter(prediction__image__dataset=dataset)
        .order_by("pk")
    )


def _chosen(
    dataset: Dataset, count: int, got: Sequence[PlaceQuestion], unreadable: Collection[int]
) -> dict[Prediction, list[int]]:
    """Places that nobody was asked about, the likeliest first: up to ``count`` with those ``got``
    already, few of one image, and no two within a cell.
    """
    if len(got) >= count:
        return {}
    predictions = list(
        askable_predictions(dataset)
        .filter(missed__gte=LEAST)
        .exclude(pk__in=unreadable)
        .select_related("image__dataset", "image__culture_type")
        .defer("style", "summary")
        .order_by("-missed", "pk")[:_LOOKED]
    )
    taken = _taken(predictions)
    regions = complete_regions({each.image_id for each in predictions})
    ordered = sorted(
        (-min(1.0, cells), row, place)
        for row, prediction in enumerate(predictions)
        for place, (_, _, cells) in enumerate(prediction.missed_at)
        if cells >= LEAST and (prediction.pk, place) not in taken
    )
    chosen: dict[Prediction, list[int]] = defaultdict(list)
    near: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for question in got:
        near[question.prediction_id].append((question.x, question.y))
    for _, row, place in ordered:
        if sum(map(len, near.values())) >= count:
            break
        prediction = predictions[row]
        some = near[prediction.pk]
        x, y, _cells = prediction.missed_at[place]
        if len(some) >= PER_IMAGE or lies_in(regions.get(prediction.image_id, ()), x, y):
            continue
        if all(np.hypot(x - other[0], y - other[1]) > prediction.diameter for other in some):
            chosen[prediction].append(place)
            some.append((x, y))
    return dict(chosen)


def _taken(predictions: Sequence[Prediction]) -> set[tuple[int, int]]:
    asked = PlaceQuestion.objects.filter(prediction__in=predictions)
    free = asked.filter(is_free(timezone.now()), answered_at=None)
    return set(asked.exclude(pk__in=free.values("pk")).values_list("prediction", "place"))


def _leased(
    prediction: Prediction,
    places: Sequence[int],
    annotator: User,
    until: datetime,
    unreadable: set[int],
) -> list[PlaceQuestion]:
    """Those of ``places`` that nobody else took a moment before and where a cell has room.

    A prediction that cannot be read is added to ``unreadable`` (ids): the next look is elsewhere.
    """
    known = PlaceQuestion.objects.filter(prediction=prediction, place__in=places)
    fresh = sorted(set(places) - set(known.values_list("place", flat=True)))
    try:
        rows = [_question(prediction, place, piece) for place, piece in offers(prediction, fresh)]
        PlaceQuestion.objects.bulk_create(rows, ignore_conflicts=True)
    except (Unavailable, UnreadableImage) as error:
        log.warning("%s: no place in it is asked about: %s", prediction.image, error)
        unreadable.add(prediction.pk)
        return []
    except IntegrityError:  # the image was predicted again a moment before
        return []
    open_ones = known.filter(is_free(timezone.now()), answered_at=None)
    taken = [
        place
        for place in places
        if open_ones.filter(place=place).update(annotator=annotator, leased_until=until) == 1
    ]
    mine = _places(prediction.image.dataset).filter(prediction=prediction, place__in=taken)
    return sorted(mine, key=lambda question: places.index(question.place))


def _question(prediction: Prediction, place: int, piece: Piece | None) -> PlaceQuestion:
    """To ask about; without a ``piece`` (no cell has room there) closed at once."""
    x, y, cells = prediction.missed_at[place]
    question = PlaceQuestion(prediction=prediction, place=place, x=x, y=y, cells=cells)
    if piece is None:
        question.answered_at = timezone.now()
    else:
        question.spans, question.crop = piece.spans, piece.crop
    return question


def places_release(*, dataset: Dataset, annotator: User, places: Sequence[int]) -> int:
    """Give places back for others to be asked about; how many were ``annotator``'s."""
    asked = PlaceQuestion.objects.filter(pk__in=places, prediction__image__dataset=dataset)
    return given_back(asked, annotator)


def places_reopen(*, annotator: User, places: Sequence[int], images: Sequence[int]) -> None:
    """Ask ``annotator`` again about ``places`` of ``images`` whose answers were undone."""
    for question in PlaceQuestion.objects.filter(
        pk__in=places, annotator=annotator, prediction__image__in=images
    ).select_related("prediction__image__dataset"):
        lease = timedelta(minutes=question.prediction.image.dataset.lease_minutes)
        PlaceQuestion.objects.filter(pk=question.pk).update(
            answered_at=None, verdict="", type="", leased_until=timezone.now() + lease
        )


def places_answer(
    *, dataset: Dataset, annotator: User, answers: Mapping[int, Answer], seconds: float | None
) -> AnsweredPlaces:
    """Take ``answers`` by question: a revision per image, with these places complete.

    Accepted or retyped: what was offered becomes a cell; rejected: nothing is there. As
    ``questions_answer`` otherwise. Raises BadInput for an unknown type and Unavailable when storage
    fails.
    """
    check_types(dataset, answers)
    share = None if seconds is None else seconds / max(1, len(answers))
    work = _Work(annotator, answers, share)
    images: dict[int, list[int]] = defaultdict(list)
    known = {question.pk: question for question in _places(dataset).filter(pk__in=list(answers))}
    for pk in answers:
        if pk in known:
            images[known[pk].prediction_id].append(pk)
        else:
            work.came_to.refused[pk] = _GONE
    unread: list[tuple[list[int], Unavailable]] = []
    for pks in images.values():
        try:
            _put(work, dataset, pks)
        except Unavailable as error:  # of one image: the others' answers are not held up
            unread.append((pks, error))
        except UnusableLabels as error:  # nor will it be another time
            _settle(pks, work, error.message)
    for pks, failure in unread:
        if not work.came_to.done:
            raise failure
        _give_back(work, pks, NOT_READ.format(why=failure.message))
    return work.came_to


@dataclass(frozen=True)
class _Work:
    """One request's answers on their way into revisions."""

    annotator: User
    answers: Mapping[int, Answer]
    seconds: float | None  # for each
    came_to: AnsweredPlaces = field(default_factory=AnsweredPlaces)

    def is_left(self, question: PlaceQuestion) -> bool:
        """Whether there is something to do: it was not answered before, and may be."""
        answer = self.answers[question.pk]
        if question.annotator != self.annotator:
            self.came_to.refused[question.pk] = whose(question)
        elif not question.answered_at:
            return True
        elif (question.verdict, question.type) == (answer.verdict, answer.type or ""):
            self.came_to.done.append(question.pk)
        else:
            self.came_to.refused[question.pk] = _OTHERWISE if question.verdict else _DRAWN
        return False


def _put(work: _Work, dataset: Dataset, pks: Sequence[int]) -> None:
    """Answers to places of one prediction, as a revision of its image."""
    for _ in range(_TRIES):
        # Read anew: the same request may be under way twice.
        questions = [each for each in _places(dataset).filter(pk__in=pks) if work.is_left(each)]
        if not questions:
            return
        image = questions[0].prediction.image
        try:
            if image.split != Split.TRAIN:
                raise Conflict(f"{image.name} measures the models as a whole: correct all of it.")
            check_not_held(image, work.annotator)
            state, _ = state_for(questions[0].prediction)
            changed, refused = _answered(state, questions, work.answers)
            done = [each for each in questions if each.pk not in refused]
            if changed is not state:
                work.came_to.revisions.append(_append(image, changed, done, work))
        except StaleRevision:
            pks = [each.pk for each in questions]
            continue  # somebody answered for other cells of the image: on top of theirs
        except Conflict as error:
            _give_back(work, [each.pk for each in questions], error.message)
            return
        _close(done, work)
        _settle(refused, work, _DRAWN)
        return
    work.came_to.refused |= dict.fromkeys(pks, "Others are changing the image; answer once more.")


def _give_back(work: _Work, pks: Sequence[int], why: str) -> None:
    """Else they would be asked about again at once, as places held already."""
    work.came_to.refused |= dict.fromkeys(pks, why)
    given_back(PlaceQuestion.objects.filter(pk__in=pks), work.annotator)


def _answered(
    state: State, questions: Sequence[PlaceQuestion], answers: Mapping[int, Answer]
) -> tuple[State, list[int]]:
    """``state`` with the answers, and the ids of questions whose place is another by now."""
    labels = state.labels.copy()
    types, sources = dict(state.types), dict(state.sources)
    regions: Sequence[Rectangle] = list(state.regions or [])
    highest = int(labels.max(initial=0))
    refused, changed = [], False
    for question in questions:
        answer, (x0, y0, offered) = answers[question.pk], painted_spans(question.spans)
        there = labels[y0 : y0 + offered.shape[0], x0 : x0 + offered.shape[1]]
        free = offered & (there == 0)
        known = lies_in(state.regions or (), question.x, question.y)  # somebody was faster
        if known or free.sum() < _LEFT * offered.sum():
            refused.append(question.pk)
            continue
        at, part = (x0, y0), free
        if answer.verdict == Verdict.REJECTED:
            at, part = _disc(question, labels)
        else:
            highest += 1
            labels = labels.astype(np.promote_types(labels.dtype, np.min_scalar_type(highest)))
            labels[y0 : y0 + offered.shape[0], x0 : x0 + offered.shape[1]][free] = highest
            types[highest] = answer.type
            if answer.type:
                sources[highest] = TypeSource.HUMAN.value
        before, regions = regions, with_part(labels, regions, part, at)
        changed |= list(before) != list(regions)
    if not changed:
        return state, refused
    new = replace(state, labels=labels, types=types, sources=sources, regions=regions)
    return new, refused


def _disc(question: PlaceQuestion, labels: Any) -> tuple[tuple[int, int], Any]:
    """The corner (x, y) and mask of what is known to be empty around a place without a cell."""
    radius = max(1.0, _EMPTY * question.prediction.diameter)
    height, width = labels.shape
    y0, x0 = max(0, int(question.y - radius)), max(0, int(question.x - radius))
    y1, x1 = min(height, int(question.y + radius) + 2), min(width, int(question.x + radius) + 2)
    rows, columns = np.ogrid[y0:y1, x0:x1]
    near = np.hypot(rows - question.y, columns - question.x) <= radius
    return (x0, y0), near & (labels[y0:y1, x0:x1] == 0)


def _append(image: Image, state: State, done: Sequence[PlaceQuestion], work: _Work) -> Revision:
    added = sum(work.answers[each.pk].verdict != Verdict.REJECTED for each in done)
    return revision_submit(
        image=image,
        author=work.annotator,
        labels=state.labels,
        cell_types=state.types,
        base_number=state.number,
        details=RevisionDetails(
            source=GALLERY,
            type_sources=state.sources,
            complete_regions=state.regions,
            seconds_spent=None if work.seconds is None else work.seconds * len(done),
            prediction=state.prediction,
            corrected_cells=added,
            keeps_work=True,
        ),
    )


def _close(questions: Sequence[PlaceQuestion], work: _Work) -> None:
    for question in questions:
        answer = work.answers[question.pk]
        PlaceQuestion.objects.filter(pk=question.pk).update(
            annotator=work.annotator,  # somebody may have been asked in this very moment
            answered_at=timezone.now(),
            verdict=answer.verdict,
            type=answer.type or "",
            seconds_spent=work.seconds,
        )
        work.came_to.done.append(question.pk)


def _settle(refused: Sequence[int], work: _Work, why: str) -> None:
    """What cannot be answered any more is not asked again."""
    PlaceQuestion.objects.filter(pk__in=refused).update(answered_at=timezone.now())
    work.came_to.refused |= dict.fromkeys(refused, why)

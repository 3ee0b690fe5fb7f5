"""Asking about places where a cell seems to be that no model drew: leases, and the answers.

What is offered as the cell's outline is kept with the question: what was seen is what is stored.
Leases are those of ``questions``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import Conflict, NotHere, StaleRevision, Unavailable
from annotator.models import (
    GALLERY,
    Dataset,
    Image,
    PlaceQuestion,
    Prediction,
    Revision,
    TypeSource,
    Verdict,
)
from annotator.selectors.asking import complete_regions
from annotator.selectors.queue import is_free
from annotator.services.annotations import RevisionDetails, revision_submit
from annotator.services.cells import Answer, check_not_held, check_types, with_part
from annotator.services.crops import Crop, crop_at
from annotator.services.flows import prediction_cell_at
from annotator.services.images import image_array
from annotator.services.questions import PER_IMAGE, askable_predictions, state_for, whose
from annotator.services.shown import State
from inference.grown import grown_cell
from inference.labels import cell_ids
from inference.rectangles import Rectangle

LEAST = 0.2  # cells that seem to be at a place from which it is asked about
_LOOKED = 400  # predictions, those with most missing first, that are looked at
_TRIES = 8  # rivals who may answer for the same image between our reading and writing
_LEFT = 0.4  # of an outline must be free still, to be a cell
_EMPTY = 0.35  # of a diameter: radius of what is known to be empty where no cell is
_SIZES = 0.2, 3.0  # of a usual cell's area: what the network's flows hold is offered within them

Spans = list[list[int]]
Mask = NDArray[np.bool_]


@dataclass
class AnsweredPlaces:
    """What became of answers: revisions made, places done, and why others came to nothing."""

    revisions: list[Revision] = field(default_factory=list)
    done: list[int] = field(default_factory=list)  # ids of questions
    refused: dict[int, str] = field(default_factory=dict)


def places_next(
    *, dataset: Dataset, annotator: User, count: int, holding: Sequence[int] = ()
) -> list[PlaceQuestion]:
    """Lease up to ``count`` places to ``annotator``, those where a cell is likeliest first.

    As ``questions_next``: those held already come first, those of ``holding`` (ids) are renewed.
    """
    until = timezone.now() + timedelta(minutes=dataset.lease_minutes)
    held = _places(dataset).filter(
        annotator=annotator, answered_at=None, leased_until__gt=timezone.now()
    )
    pks = list(held.values_list("pk", flat=True))
    PlaceQuestion.objects.filter(pk__in=pks, annotator=annotator, answered_at=None).update(
        leased_until=until
    )
    got = list(_places(dataset).filter(pk__in=pks).exclude(pk__in=holding)[:count])
    if len(got) < count:
        got += _leased(_chosen(dataset, count - len(got)), annotator, until)
    return got


def _places(dataset: Dataset) -> QuerySet[PlaceQuestion]:
    related = ("annotator", "prediction__image__dataset", "prediction__image__culture_type")
    return (
        PlaceQuestion.objects.select_related(*related)
        .filter(prediction__image__dataset=dataset)
        .order_by("pk")
    )


Chosen = tuple[Prediction, int]  # and which of its places


def _chosen(dataset: Dataset, count: int) -> list[Chosen]:
    """Places that nobody was asked about, the likeliest first, few of one image."""
    predictions = list(
        askable_predictions(dataset)
        .filter(missed__gte=LEAST)
        .select_related("image__dataset", "image__culture_type")
        .order_by("-missed", "pk")[:_LOOKED]
    )
    regions = complete_regions({each.image_id for each in predictions})
    taken = _taken(predictions)
    found = [
        (cells, prediction, place)
        for prediction in predictions
        for place, (x, y, cells) in enumerate(prediction.missed_at)
        if cells >= LEAST
        and (prediction.pk, place) not in taken
        and not _lies_in(regions.get(prediction.image_id, ()), x, y)
    ]
    found.sort(key=lambda row: (-row[0], row[1].pk, row[2]))
    chosen: list[Chosen] = []
    of_image: dict[int, int] = defaultdict(int)
    for _, prediction, place in found:
        if len(chosen) == count:
            break
        if of_image[prediction.image_id] < PER_IMAGE:
            of_image[prediction.image_id] += 1
            chosen.append((prediction, place))
    return chosen


def _taken(predictions: Sequence[Prediction]) -> set[tuple[int, int]]:
    asked = PlaceQuestion.objects.filter(prediction__in=predictions)
    free = asked.filter(is_free(timezone.now()), answered_at=None)
    rows = asked.exclude(pk__in=free.values("pk")).values_list("prediction", "place")
    return set(rows)


def _lies_in(regions: Sequence[Sequence[int]], x: float, y: float) -> bool:
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in regions)


def _leased(chosen: Sequence[Chosen], annotator: User, until: datetime) -> list[PlaceQuestion]:
    """Those of ``chosen`` that nobody else took a moment before and for which an outline is had."""
    got: list[PlaceQuestion] = []
    of_prediction: dict[int, list[Chosen]] = defaultdict(list)
    for each in chosen:
        of_prediction[each[0].pk].append(each)
    for places in of_prediction.values():
        prediction = places[0][0]
        drawn = _outlines(prediction, [place for _, place in places])
        rows = [
            PlaceQuestion(prediction=prediction, place=place, spans=spans)
            for place, spans in drawn.items()
        ]
        try:
            PlaceQuestion.objects.bulk_create(rows, ignore_conflicts=True)
        except IntegrityError:  # the image was predicted again a moment before
            continue
        for place in drawn:
            mine = PlaceQuestion.objects.filter(
                is_free(timezone.now()), prediction=prediction, place=place, answered_at=None
            )
            if mine.update(annotator=annotator, leased_until=until) == 1:
                got.append(
                    _places(prediction.image.dataset).get(prediction=prediction, place=place)
                )
    return got


def _outlines(prediction: Prediction, places: Sequence[int]) -> dict[int, Spans]:
    """What is offered as the cell at each of ``places``; nothing where there is no room."""
    labels = storage.labels_get(prediction.labels_key)
    shown = image_array(prediction.image)
    found = {}
    for place in places:
        x, y, _ = prediction.missed_at[place]
        mask = _drawn(prediction, labels, shown, (x, y))
        if mask is not None:
            found[place] = _spans(mask)
    return found


def _drawn(
    prediction: Prediction, labels: NDArray[Any], shown: NDArray[Any], at: tuple[float, float]
) -> Mask | None:
    """(H, W): what the network's flows hold there, else what the pixels show."""
    usual = np.pi / 4 * prediction.diameter**2
    mask = np.zeros(labels.shape, bool)
    try:
        flown = prediction_cell_at(prediction=prediction, x=int(at[0]), y=int(at[1]))
        height, width = flown.mask.shape
        mask[flown.y0 : flown.y0 + height, flown.x0 : flown.x0 + width] = flown.mask
        mask &= labels == 0
        if _SIZES[0] * usual <= mask.sum() <= _SIZES[1] * usual:
            return mask
    except (NotHere, Unavailable):
        pass
    grown = grown_cell(shown, labels, at, prediction.diameter)
    if grown is None:
        return None
    mask[:] = False
    height, width = grown.mask.shape
    mask[grown.y0 : grown.y0 + height, grown.x0 : grown.x0 + width] = grown.mask
    return mask


def _spans(mask: Mask) -> Spans:
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    return [list(span) for span in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)]


def _painted(spans: Spans, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, bool)
    for y, x0, x1 in spans:
        mask[y, x0:x1] = True
    return mask


def place_crops(questions: Sequence[PlaceQuestion]) -> dict[int, Crop]:
    """Pictures of the places with what is offered as the cell, by the question's id."""
    found = {}
    of_image: dict[int, list[PlaceQuestion]] = defaultdict(list)
    for question in questions:
        of_image[question.prediction.image_id].append(question)
    for some in of_image.values():
        image, diameter = some[0].prediction.image, some[0].prediction.diameter
        shown = image_array(image)
        for question in some:
            mask = _painted(question.spans, shown.shape[1:])
            found[question.pk] = crop_at(shown, image.dataset.channels, mask, diameter)
    return found


def places_release(*, dataset: Dataset, annotator: User, places: Sequence[int]) -> int:
    """Give places back for others to be asked about; how many were ``annotator``'s."""
    return PlaceQuestion.objects.filter(
        pk__in=places, prediction__image__dataset=dataset, annotator=annotator, answered_at=None
    ).update(annotator=None, leased_until=None)


def places_reopen(*, annotator: User, places: Sequence[int], images: Sequence[int]) -> None:
    """Ask ``annotator`` again about ``places`` of ``images`` whose answers were undone."""
    for question in PlaceQuestion.objects.filter(
        pk__in=places, annotator=annotator, prediction__image__in=images
    ).select_related("prediction__image__dataset"):
        lease = timedelta(minutes=question.prediction.image.dataset.lease_minutes)
        PlaceQuestion.objects.filter(pk=question.pk).update(
            answered_at=None, verdict="", leased_until=timezone.now() + lease
        )


def places_answer(
    *, dataset: Dataset, annotator: User, answers: Mapping[int, Answer], seconds: float | None
) -> AnsweredPlaces:
    """Take ``answers`` by question: a revision per image, with these places complete.

    Accepted or retyped: what was offered becomes a cell; rejected: nothing is there. As
    ``questions_answer`` otherwise. Raises BadInput for an unknown type and Unavailable when storage
    fails.
    """
    known = {question.pk: question for question in _places(dataset).filter(pk__in=list(answers))}
    check_types(dataset, answers)
    share = None if seconds is None else seconds / max(1, len(answers))
    came_to = AnsweredPlaces()
    images: dict[int, list[PlaceQuestion]] = defaultdict(list)
    for pk in answers:
        question = known.get(pk)
        if question is None:
            came_to.refused[pk] = "It is gone: its image was predicted again, or deleted."
        elif question.annotator != annotator:
            came_to.refused[pk] = whose(question)
        elif question.verdict:
            came_to.done.append(pk)
        else:
            images[question.prediction_id].append(question)
    for questions in images.values():
        _put(_Work(annotator, answers, share, came_to), questions)
    return came_to


@dataclass(frozen=True)
class _Work:
    """One request's answers on their way into revisions."""

    annotator: User
    answers: Mapping[int, Answer]
    seconds: float | None  # for each
    came_to: AnsweredPlaces


def _put(work: _Work, questions: Sequence[PlaceQuestion]) -> None:
    """Answers to places of one prediction, as a revision of its image."""
    prediction = questions[0].prediction
    for _ in range(_TRIES):
        try:
            state, _places_there = state_for(prediction)
            changed, done = _answered(state, prediction.diameter, questions, work)
            if done:
                work.came_to.revisions.append(_append(prediction.image, changed, done, work))
        except StaleRevision:
            continue  # somebody answered for other cells of the image: on top of theirs
        except Conflict as error:
            work.came_to.refused |= {each.pk: error.message for each in questions}
            return
        _close(questions, done, work)
        return
    message = f"{prediction.image.name} is being changed by others; answer once more."
    work.came_to.refused |= {each.pk: message for each in questions}


def _answered(
    state: State, diameter: float, questions: Sequence[PlaceQuestion], work: _Work
) -> tuple[State, list[PlaceQuestion]]:
    """``state`` with the answers to those of ``questions`` whose place is as it was."""
    labels = state.labels.copy()
    types, sources = dict(state.types), dict(state.sources)
    regions: Sequence[Rectangle] = list(state.regions or [])
    done = []
    for question in questions:
        answer = work.answers[question.pk]
        offered = _painted(question.spans, labels.shape)
        free = offered & (labels == 0)
        if free.sum() < _LEFT * offered.sum():
            continue
        part = free
        if answer.verdict == Verdict.REJECTED:
            part = _disc(labels.shape, question.spot, _EMPTY * diameter) & (labels == 0)
        else:
            label = int(max(cell_ids(labels).max(initial=0), *types, 0)) + 1
            labels = labels.astype(np.promote_types(labels.dtype, np.min_scalar_type(label)))
            labels[free] = label
            types[label] = answer.type
            if answer.type:
                sources[label] = TypeSource.HUMAN.value
        regions = with_part(labels, regions, part)
        done.append(question)
    return replace(state, labels=labels, types=types, sources=sources, regions=regions), done


def _disc(shape: tuple[int, ...], spot: Sequence[float], radius: float) -> Mask:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - spot[1], columns - spot[0]) <= max(radius, 1.0))


def _append(image: Image, state: State, done: Sequence[PlaceQuestion], work: _Work) -> Revision:
    check_not_held(image, work.annotator)
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


def _close(questions: Sequence[PlaceQuestion], done: Sequence[PlaceQuestion], work: _Work) -> None:
    for question in questions:
        if question not in done:
            work.came_to.refused[question.pk] = "A cell has been drawn there in the meantime."
            continue
        PlaceQuestion.objects.filter(pk=question.pk).update(
            answered_at=timezone.now(),
            verdict=work.answers[question.pk].verdict,
            seconds_spent=work.seconds,
        )
        work.came_to.done.append(question.pk)

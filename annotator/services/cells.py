"""Cells changed from lists: many at once, one revision per image, undone as a whole.

Nobody looked at the rest of such an image. So only what surrounds the answered cells becomes
complete, and the others stay what the models made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone
from numpy.typing import NDArray

from annotator.exceptions import BadInput, Conflict, StaleRevision
from annotator.models import (
    GALLERY,
    Dataset,
    Image,
    QueueItem,
    Revision,
    Split,
    TypeSource,
    Verdict,
)
from annotator.services.annotations import MOST_REGIONS, RevisionDetails, revision_submit
from annotator.services.shown import State, predicted_state, revised_state, state_of
from inference.rectangles import (
    Rectangle,
    area,
    few_rectangles,
    grown,
    painted,
    rectangles,
)

Labels = NDArray[Any]
_UNDONE = re.compile(r"revision (\d+) undone")  # their notes, where they took others back
RING = 2  # px around an answered cell, at most, that are complete with it


@dataclass(frozen=True)
class Answer:
    """What somebody said of a cell. ``type`` is the name that it gets when retyped, None: none."""

    verdict: Verdict
    type: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Answers to cells of one image, by label, and what they were given in view of."""

    image: Image
    number: int  # head revision; 0: none
    prediction: int | None  # whose cells were shown, where there was no revision
    answers: Mapping[int, Answer]


@dataclass(frozen=True)
class Moved:
    """An image that is not as it was when it was looked at."""

    image: Image
    message: str


@dataclass
class Changed:
    """What became of a request: revisions made, images as they were already, images left alone."""

    revisions: list[Revision] = field(default_factory=list)
    unchanged: list[Image] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)


def cells_change(*, author: User, wanted: Sequence[Wanted], seconds: float | None) -> Changed:
    """Answer for cells of several images; each image is changed whole or not at all.

    ``seconds`` of work are shared out by cells. An image whose head or prediction is another by now
    is left as it is and told of. ``cells_undo`` takes the revisions back.

    Raises:
        BadInput: a label or type that is not there.
        Unavailable: object storage failed; images before it are changed.
    """
    for each in wanted:
        check_types(each.image.dataset, each.answers)
    done = Changed()
    cells = sum(len(each.answers) for each in wanted)
    for each in wanted:
        share = None if seconds is None else seconds * len(each.answers) / max(1, cells)
        try:
            state = state_of(each.image)
            _check_seen(each, state)
            made = answers_put(
                image=each.image, author=author, state=state, answers=each.answers, seconds=share
            )
        except Conflict as error:
            made = _made_before(each, author)
            if made is None:
                done.moved.append(Moved(each.image, error.message))
                continue
        if made is None:
            done.unchanged.append(each.image)
        else:
            done.revisions.append(made)
    return done


def _made_before(wanted: Wanted, author: User) -> Revision | None:
    """The head, when it is what this very request made: its answer may have been lost."""
    head = wanted.image.revisions.filter(author=author, source=GALLERY).order_by("-number").first()
    if head is None or head.number != wanted.number + 1:
        return None
    types = dict(head.cells.values_list("label", "type__name"))
    for label, answer in wanted.answers.items():
        if (answer.verdict == Verdict.REJECTED) == (label in types):
            return None
        if answer.verdict == Verdict.RETYPED and answer.type not in (None, types[label]):
            return None
    newer = Revision.objects.filter(image=wanted.image, number__gt=head.number)
    return None if newer.exists() else head


def _check_seen(wanted: Wanted, state: State) -> None:
    seen = wanted.prediction if wanted.number == 0 else None
    shown = state.prediction.pk if state.prediction and state.number == 0 else None
    if wanted.number != state.number or seen != shown:
        what = "predicted again" if wanted.number == state.number else "changed"
        raise StaleRevision(f"{wanted.image.name} was {what} in the meantime. Load the list again.")


def answers_put(
    *,
    image: Image,
    author: User,
    state: State,
    answers: Mapping[int, Answer],
    seconds: float | None,
) -> Revision | None:
    """Append ``state`` with these answers to ``image``; None when they change nothing.

    A region of the answered cells' own becomes complete in training images. A validation or test
    image measures the models as a whole: there, cells that no model has found matter as much, and
    nobody was asked about those.

    Raises BadInput, StaleRevision, Unavailable; Conflict while the author has the image in the
    editor.
    """
    _check_answers(image, state, answers)
    check_not_held(image, author)
    rejected = _labels_with(answers, Verdict.REJECTED)
    labels = np.where(np.isin(state.labels, rejected), 0, state.labels)
    types, sources = _answered_types(state, answers)
    regions = state.regions
    if regions is not None and image.split == Split.TRAIN:
        regions = completed(state.labels, regions, list(answers))
    same_types = types == dict(state.types) and sources == dict(state.sources)
    if not rejected and same_types and regions == state.regions:
        return None
    retyped = sum(types.get(label) != state.types[label] for label in set(answers) - set(rejected))
    details = RevisionDetails(
        source=GALLERY,
        type_sources=sources,
        complete_regions=regions,
        seconds_spent=seconds,
        prediction=state.prediction,
        corrected_cells=len(rejected) + retyped,
        keeps_work=True,
    )
    return revision_submit(
        image=image,
        author=author,
        labels=labels.astype(state.labels.dtype, copy=False),
        cell_types=types,
        base_number=state.number,
        details=details,
    )


def _labels_with(answers: Mapping[int, Answer], verdict: Verdict) -> list[int]:
    return [label for label, answer in answers.items() if answer.verdict == verdict]


def _check_answers(image: Image, state: State, answers: Mapping[int, Answer]) -> None:
    absent = sorted(set(answers) - set(state.types))
    if absent:
        raise BadInput(f"{image.name} has no cell {absent[0]}.")
    check_types(image.dataset, answers)


def check_types(dataset: Dataset, answers: Mapping[int, Answer]) -> None:
    """Raise BadInput for a type that ``dataset`` has not got."""
    known = set(dataset.types.values_list("name", flat=True))
    unknown = {answer.type for answer in answers.values() if answer.type} - known
    if unknown:
        raise BadInput(
            f"The cell type {unknown.pop()} is unknown; this data set has "
            f"{', '.join(sorted(known)) or 'no types'}."
        )


def check_not_held(image: Image, author: User) -> None:
    """What is done in the editor would have to be merged with this."""
    held = QueueItem.objects.filter(
        image=image, annotator=author, closed_at=None, leased_until__gt=timezone.now()
    )
    if held.exists():
        raise Conflict(f"You hold {image.name} in the editor: change its cells there.")


def _answered_types(
    state: State, answers: Mapping[int, Answer]
) -> tuple[dict[int, str | None], dict[int, str]]:
    """Types and their sources of the cells that stay."""
    types, sources = dict(state.types), dict(state.sources)
    for label, answer in answers.items():
        if answer.verdict == Verdict.REJECTED:
            del types[label]
            sources.pop(label, None)
            continue
        if answer.verdict == Verdict.RETYPED:
            types[label] = answer.type
            sources.pop(label, None)
        # Whoever accepts what a file's name says has not looked for more.
        if types[label] and sources.get(label) != TypeSource.FILE_NAME:
            sources[label] = TypeSource.HUMAN.value
    return types, sources


def completed(
    labels: Labels, regions: Sequence[Rectangle], answered: Iterable[int]
) -> list[Rectangle]:
    """Complete ``regions`` with what surrounds the ``answered`` cells of ``labels``.

    Regions stay as they are. Each cell is added with a ring of 1 to ``RING`` px, but never a pixel
    of another cell: that nobody was asked about may have the wrong type or be none.
    """
    return with_part(labels, regions, np.isin(labels, list(answered)) & (labels > 0))


def with_part(
    labels: Labels,
    regions: Sequence[Rectangle],
    part: NDArray[np.bool_],
    at: tuple[int, int] = (0, 0),
) -> list[Rectangle]:
    """``regions`` and those of ``part`` with a ring around it, without pixels of other cells.

    ``labels`` is (H, W); ``part`` (h, w) has its corner ``at`` (x, y) px.
    """
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return list(regions)
    (left, top), (height, width) = at, labels.shape
    y0, y1 = max(0, top + int(rows[0]) - RING), min(height, top + int(rows[-1]) + RING + 1)
    x0, x1 = max(0, left + int(columns[0]) - RING), min(width, left + int(columns[-1]) + RING + 1)
    inside = _window(part, (x0 - left, y0 - top, x1 - left, y1 - top))
    free = ((labels[y0:y1, x0:x1] == 0) | inside) & ~painted(regions, (x0, y0, x1, y1))
    least = grown(inside, 1) & free
    found = few_rectangles(least, grown(inside, RING) & free, at=(x0, y0))
    room = MOST_REGIONS - len(regions)
    if len(found) <= room:
        return [*regions, *found]
    # Too many: neighbours that were answered one by one may be one.
    everything = painted(regions, (0, 0, width, height))
    everything[y0:y1, x0:x1] |= least
    joined = rectangles(everything, MOST_REGIONS)
    if sum(map(area, joined)) == int(everything.sum()):
        return joined
    return [*regions, *rectangles(least, room, at=(x0, y0))]


def _window(part: NDArray[np.bool_], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """``part`` in a window that may reach beyond it, where it is false."""
    x0, y0, x1, y1 = box
    height, width = part.shape
    around = ((max(0, -y0), max(0, y1 - height)), (max(0, -x0), max(0, x1 - width)))
    inside = part[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    return np.pad(inside, around)


def cells_undo(*, author: User, revisions: Sequence[Revision]) -> Changed:
    """Take back ``revisions`` that ``author`` made from lists: each image is as before it again.

    Revisions stay; what was there before is appended once more. Where there was none, that is the
    prediction with no complete region. An image that was changed since, by more than what was
    undone again, is left alone and told of. Undoing what this returns brings the changes back.
    """
    done = Changed()
    for revision in revisions:
        try:
            done.revisions.append(_taken_back(revision, author))
        except Conflict as error:
            done.moved.append(Moved(revision.image, error.message))
    return done


def _taken_back(revision: Revision, author: User) -> Revision:
    image = revision.image
    head = image.revisions.order_by("-number").first() or revision
    if _undone_by(head) == revision.number:  # the request is repeated
        _tell_work(head)
        return head
    if revision.author_id != author.pk or revision.source != GALLERY:
        raise Conflict(f"Revision {revision.number} of {image.name} is no change of yours.")
    if revision.number not in (head.number, _number_of(head)):
        raise Conflict(f"{image.name} was changed again since; it stays as it is.")
    check_not_held(image, author)
    if revision.parent is not None:
        before = revised_state(revision.parent)
    elif revision.prediction is not None:
        before = predicted_state(revision.prediction)
    else:
        raise Conflict(f"What {image.name} showed before is not kept any more.")
    appended = revision_submit(
        image=image,
        author=author,
        labels=before.labels,
        cell_types=before.types,
        base_number=head.number,
        details=RevisionDetails(
            source=GALLERY,
            type_sources=before.sources,
            complete_regions=before.regions,
            prediction=before.prediction,
            note=f"revision {revision.number} undone",
            corrected_cells=0,
            is_work=False,
            keeps_work=True,
        ),
    )
    _tell_work(appended)
    return appended


def _tell_work(revision: Revision) -> None:
    """Store whether the change stands that ``revision`` takes back or brings back."""
    stands = True
    while (number := _undone_by(revision)) is not None:
        revision = revision.image.revisions.get(number=number)
        stands = not stands
    Revision.objects.filter(pk=revision.pk).update(is_work=stands)


def _undone_by(revision: Revision) -> int | None:
    """The number of the revision that ``revision`` took back."""
    found = _UNDONE.fullmatch(revision.note) if revision.source == GALLERY else None
    number = int(found[1]) if found else revision.number
    return number if number < revision.number else None


def _number_of(revision: Revision) -> int:
    """The first revision that shows what ``revision`` shows; 0: as before there was any."""
    # No recursion: undo and redo by turns make a chain of any length.
    while (number := _undone_by(revision)) is not None:
        undone = revision.image.revisions.select_related("parent").get(number=number)
        if undone.parent is None:
            return 0
        revision = undone.parent
    return revision.number

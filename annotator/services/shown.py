"""What an image shows: its head revision's cells, or a prediction's where nobody has answered.

A head that is complete in parts holds, elsewhere, cells of the prediction that it began with. Once
there is a newer one, that one's cells take their place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import Conflict, UnusableLabels
from annotator.models import Image, Prediction, Revision, TypeSource
from annotator.selectors.cells import SAME_BOX_IOU
from inference.labels import LabelsError, mostly_in, validate
from inference.rectangles import Rectangle, matched, overlaps, painted

Labels = NDArray[Any]
_SHORT = 2**16 - 1


@dataclass(frozen=True)
class State:
    """The cells of an image that are changed: its head's, or a prediction's."""

    labels: Labels  # (H, W)
    types: Mapping[int, str | None]  # of every cell
    sources: Mapping[int, str]
    regions: Sequence[Rectangle] | None  # that are complete; None: the whole image
    number: int  # of the head; 0: none
    prediction: Prediction | None = None


def state_of(image: Image) -> State:
    """What ``image`` shows now; Conflict when it has neither a revision nor a prediction."""
    head = image.revisions.select_related("prediction").order_by("-number").first()
    if head is not None:
        return revised_state(head)
    prediction = image.predictions.order_by("-id").first()
    if prediction is None:
        raise Conflict(f"{image.name} has neither masks nor a prediction.")
    return predicted_state(prediction)


def revised_state(revision: Revision) -> State:
    """The cells of a revision."""
    rows = list(revision.cells.values_list("label", "type__name", "type_source"))
    return State(
        labels=_stored(revision.image, revision.labels_key),
        types={label: name for label, name, _ in rows},
        sources={label: source for label, _, source in rows if source},
        regions=revision.complete_regions,
        number=revision.number,
        prediction=revision.prediction,
    )


def predicted_state(prediction: Prediction) -> State:
    """The cells of a prediction, for which nobody has answered yet.

    On a single-type culture they have no type: a revision gives them the culture's.
    """
    types: dict[int, str | None] = dict(prediction.cells.values_list("label", "type__name"))
    if prediction.image.culture_type_id is not None:
        types = dict.fromkeys(types)
    return State(
        labels=_stored(prediction.image, prediction.labels_key),
        types=types,
        sources={label: TypeSource.MODEL.value for label, name in types.items() if name},
        regions=[],
        number=0,
        prediction=prediction,
    )


def _stored(image: Image, key: str) -> Labels:
    labels = storage.labels_get(key)
    try:
        validate(labels, (image.height, image.width))
    except LabelsError as error:
        raise UnusableLabels(f"The stored masks of {image.name} cannot be used: {error}") from error
    return labels


def state_for(prediction: Prediction) -> tuple[State, dict[int, int]]:
    """What the image shows with the prediction's cells in it, and {label there: label here}.

    Cells of the prediction that are not there any more have no place. Raises Conflict for an image
    that is complete as a whole, UnusableLabels for stored labels that do not fit it.
    """
    image = prediction.image
    head = image.revisions.select_related("prediction").order_by("-number").first()
    if head is None:
        state = predicted_state(prediction)
        return state, {label: label for label in state.types}
    if head.complete_regions is None:
        raise Conflict(f"{image.name} was corrected as a whole in the meantime.")
    begun = begun_with(head)
    # An older prediction's cells are looked for, and do not take the newer one's place.
    if begun is not None and begun >= prediction.pk:
        return revised_state(head), _same_places(prediction, head)
    return renewed(revised_state(head), predicted_state(prediction))


def _same_places(prediction: Prediction, head: Revision) -> dict[int, int]:
    """{label in ``prediction``: label of the cell in its place in ``head``}, none of them twice.

    The cell of the same number, where that is in the same place, else the one most like it that is
    no other one's.
    """
    theirs: dict[int, list[int]] = dict(prediction.cells.values_list("label", "bbox"))
    ours: dict[int, list[int]] = dict(head.cells.values_list("label", "bbox"))
    both = [label for label in theirs if label in ours]
    same = overlaps(*(_boxes(cells, both) for cells in (theirs, ours))) >= SAME_BOX_IOU
    found = {label: label for label, stayed in zip(both, same.tolist(), strict=True) if stayed}
    left = [label for label in sorted(theirs) if label not in found]
    free = [label for label in sorted(ours) if label not in found]
    match = matched(_boxes(theirs, left), _boxes(ours, free), SAME_BOX_IOU).tolist()
    for label, at in zip(left, match, strict=True):
        if at >= 0 and free[at] not in found.values():
            found[label] = free[at]
    return found


def _boxes(cells: Mapping[int, Sequence[int]], labels: Sequence[int]) -> NDArray[np.int64]:
    return np.array([cells[label] for label in labels], np.int64).reshape(-1, 4)


def begun_with(head: Revision) -> int | None:
    """The id of the prediction whose cells ``head`` holds where nobody has answered.

    Who goes on with a revision names no prediction, unless it is a newer one.
    """
    if head.prediction_id is not None:
        return head.prediction_id
    before = Revision.objects.filter(image=head.image_id, number__lt=head.number)
    named = before.filter(prediction__isnull=False).order_by("-number")
    found: int | None = named.values_list("prediction", flat=True).first()
    return found


def is_renewable(head: Revision | None, prediction: Prediction | None) -> bool:
    """Whether ``prediction`` says anew what ``head`` holds where nobody has answered."""
    if head is None or head.complete_regions is None or prediction is None:
        return False
    begun = begun_with(head)
    return begun is None or begun < prediction.pk


def renewed(head: State, fresh: State) -> tuple[State, dict[int, int]]:
    """``head`` where somebody answered for it, a newer prediction's cells everywhere else.

    Beside it {label in ``fresh``: label here}: cells keep their numbers, but for those of ``fresh``
    whose number is taken.
    """
    height, width = head.labels.shape
    complete = painted(head.regions or [], (0, 0, width, height))
    kept = set(mostly_in(head.labels, complete))
    if not head.regions:  # of a validation or test image only the types were asked
        kept |= {label for label, source in head.sources.items() if source == TypeSource.HUMAN}
    labels = np.where(np.isin(head.labels, list(kept)), head.labels, 0)
    free = ~complete & (labels == 0)
    places = _numbered(mostly_in(fresh.labels, free), kept)
    highest = max([0, *kept, *places.values()])
    labels = labels.astype(np.uint16 if highest <= _SHORT else np.uint32)
    table = np.zeros(int(fresh.labels.max(initial=0)) + 1, labels.dtype)
    table[list(places)] = list(places.values())
    labels[free] = table[fresh.labels[free]]
    old = {label: name for label, name in head.types.items() if label in kept}
    state = replace(
        head,
        labels=labels,
        types=old | {here: fresh.types.get(there) for there, here in places.items()},
        sources={label: head.sources[label] for label in old if label in head.sources}
        | {here: fresh.sources[there] for there, here in places.items() if there in fresh.sources},
        prediction=fresh.prediction,
    )
    return state, places


def _numbered(labels: Sequence[int], taken: Collection[int]) -> dict[int, int]:
    """{label: itself, or the lowest number that is free}."""
    used = {*taken, *labels}
    unused: Iterator[int] = (number for number in count(1) if number not in used)
    return {label: next(unused) if label in taken else label for label in labels}


def with_newer(head: Revision, prediction: int | None) -> State | None:
    """What ``head`` shows with the cells of the image's ``prediction`` (by its id) where nobody has
    answered. None where that says nothing new: it is no newer one, or the whole image is complete.
    """
    if prediction is None:
        return None
    found = Prediction.objects.filter(pk=prediction, image=head.image_id).first()
    if found is None or not is_renewable(head, found):
        return None
    return renewed(revised_state(head), predicted_state(found))[0]

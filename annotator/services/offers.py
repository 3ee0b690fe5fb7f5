"""What is offered as a cell at a place that no model drew: an outline, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from annotator import storage
from annotator.exceptions import NotHere, Unavailable
from annotator.models import Prediction
from annotator.services.crops import Crop, crop_at
from annotator.services.flows import prediction_cell_at
from annotator.services.images import contrast, image_array
from inference.grown import Grown, grown_cell

_SIZES = 0.2, 3.0  # of a usual cell's area: what the network's flows hold is offered within them

Spans = list[list[int]]  # [[y, x0, x1], …] px, half-open
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """An outline that is offered, and how it looks."""

    spans: Spans
    crop: Crop


def offers(prediction: Prediction, places: Sequence[int]) -> list[tuple[int, Piece | None]]:
    """For each of ``places`` of the prediction's ``missed_at``; None where a cell has no room.

    Raises Unavailable and UnreadableImage.
    """
    if not places:
        return []
    labels = storage.labels_get(prediction.labels_key)
    shown = image_array(prediction.image)
    roles, limits = prediction.image.dataset.channels, contrast(shown)
    found: list[tuple[int, Piece | None]] = []
    for place in places:
        x, y, _ = prediction.missed_at[place]
        drawn = _flown(prediction, labels, (x, y)) or grown_cell(
            shown, labels, (x, y), prediction.diameter
        )
        piece = None
        if drawn is not None:
            crop = crop_at(shown, roles, limits, drawn, prediction.diameter)
            piece = Piece(_spans(drawn), crop)
        found.append((place, piece))
    return found


def _flown(prediction: Prediction, labels: NDArray[Any], at: tuple[float, float]) -> Grown | None:
    """The cell that the network's flows hold at ``at``, where it is of a usual size."""
    try:
        found = prediction_cell_at(prediction=prediction, x=int(at[0]), y=int(at[1]))
    except (NotHere, Unavailable):
        return None
    height, width = found.mask.shape
    free = found.mask & (labels[found.y0 : found.y0 + height, found.x0 : found.x0 + width] == 0)
    pieces, count = ndimage.label(free)
    if not count:
        return None
    largest = pieces == 1 + np.bincount(pieces[free])[1:].argmax()
    usual = np.pi / 4 * max(prediction.diameter, 1.0) ** 2
    if not _SIZES[0] * usual <= largest.sum() <= _SIZES[1] * usual:
        return None
    return Grown(found.x0, found.y0, largest)


def _spans(drawn: Grown) -> Spans:
    edges = np.diff(np.pad(drawn.mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    x, y = drawn.x0, drawn.y0
    return [
        [row + y, start + x, end + x]
        for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
    ]


def painted_spans(spans: Spans) -> tuple[int, int, Mask]:
    """The box's corner x0, y0 px, and the mask (h, w) in it."""
    rows, starts, ends = np.array(spans).T
    x0, y0 = int(starts.min()), int(rows.min())
    mask = np.zeros((int(rows.max()) + 1 - y0, int(ends.max()) - x0), bool)
    for row, start, end in spans:
        mask[row - y0, start - x0 : end - x0] = True
    return x0, y0, mask

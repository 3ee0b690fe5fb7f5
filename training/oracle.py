"""An annotator who knows the truth: answers what is asked, and says what it cost.

Every answer is the true masks and types of the cells asked about. Cells are charged once, however
they were answered; edits are those from the prediction that was on the screen to the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.labels import cell_ids, compact
from inference.rectangles import rectangles
from training.annotation_cost import Edits
from training.metrics import match

Labels = NDArray[Any]
Mask = NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1 px, half-open

ACCEPTED = 0.8  # IoU from which a border is left as it is: two people hardly agree better
_WORST = 0.5  # IoU at which a border is drawn anew from end to end
_PART = 0.5  # share of a cell that lies in another's mask from which it belongs to it
RING = 3  # px around an answered cell that are known to be no part of it


@dataclass(frozen=True)
class Answer:
    """What is known now of one image: where everything is complete, and which cells are new."""

    regions: tuple[Rectangle, ...]
    ids: tuple[int, ...]  # of the truth, that were not known before
    cells: int  # charged
    edits: Edits


@dataclass(frozen=True)
class Truth:
    """One image's true cells, ``types`` by label ("" or absent: nobody knows)."""

    labels: Labels  # (H, W)
    types: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """What the annotator sees: the prediction."""

    labels: Labels  # (H, W)
    types: Mapping[int, str] = field(default_factory=dict)


def nothing_shown(shape: tuple[int, ...]) -> Shown:
    """Before there is a model."""
    return Shown(np.zeros(shape, np.uint16))


def answer_region(
    truth: Truth, shown: Shown, region: Rectangle | None, known: Sequence[int] = ()
) -> Answer:
    """All cells that a window shows, wholly or in part; of the whole image without ``region``.

    Cells ``known`` from earlier answers cost nothing more.
    """
    height, width = truth.labels.shape
    x0, y0, x1, y1 = region or (0, 0, width, height)
    place = slice(y0, y1), slice(x0, x1)
    new = np.setdiff1d(cell_ids(truth.labels[place]), np.asarray(known, np.int64))
    told = np.where(np.isin(truth.labels, known), truth.labels, 0)
    seen = np.setdiff1d(cell_ids(shown.labels[place]), _lying_in(shown.labels, told > 0))
    edits = edits_between(
        Truth(only(truth.labels, new), truth.types), Shown(only(shown.labels, seen), shown.types)
    )
    return Answer(
        regions=((x0, y0, x1, y1),),
        ids=tuple(new.tolist()),
        cells=new.size,
        edits=edits + Edits(opened=1),
    )


def answer_cell(truth: Truth, shown: Shown, label: int, known: Sequence[int] = ()) -> Answer:
    """One predicted cell: accepted, redrawn, retyped, cut into several, or rejected.

    What lies around the cell is known as far as ``RING`` px, but for pixels of other true cells:
    one sees in the crop that they are something else, and is not asked what.
    """
    mask = shown.labels == label
    ids = np.setdiff1d(_meant(truth.labels, mask), np.asarray(known, np.int64))
    around = mask if not ids.size else mask | _grown(np.isin(truth.labels, ids), RING)
    complete = around & ((truth.labels == 0) | np.isin(truth.labels, ids))
    edits = edits_between(
        Truth(only(truth.labels, ids), truth.types),
        Shown(np.where(mask, shown.labels, 0), shown.types),
    )
    charged = max(1, ids.size)
    return Answer(_told(complete), tuple(ids.tolist()), charged, edits + Edits(asked=1))


def answer_point(
    truth: Truth, point: tuple[float, float], reach: float, known: Sequence[int] = ()
) -> Answer:
    """Whether a missed cell lies at ``point`` (x, y px): it is drawn, or nothing is there.

    Of several cells within ``reach`` px that of the nearest pixel is meant.
    """
    disc = _disc(truth.labels.shape, point, reach)
    new = disc & (truth.labels > 0) & ~np.isin(truth.labels, known)
    if not new.any():
        complete = disc & (truth.labels == 0)
        return Answer(_told(complete), (), 1, Edits(asked=1))
    rows, columns = np.nonzero(new)
    nearest = np.argmin((columns - point[0]) ** 2 + (rows - point[1]) ** 2)
    label = int(truth.labels[rows[nearest], columns[nearest]])
    around = _grown(truth.labels == label, RING)
    complete = around & ((truth.labels == 0) | (truth.labels == label))
    return Answer(_told(complete), (label,), 1, Edits(asked=1, added=1))


def edits_between(truth: Truth, shown: Shown) -> Edits:
    """The fewest edits, as a person would go about it, from the prediction to the truth.

    Cells match at an IoU of 0.5; a border further from the truth than ``ACCEPTED`` is redrawn in
    part: (1 − IoU) / (1 − 0.5) of it. Of the others, a predicted mask that holds most of several
    true cells is cut, several that lie mostly in one true cell are merged, one that lies alone
    with its true cell is drawn anew, and the rest is added or deleted.
    """
    matching = match(truth.labels, shown.labels, _WORST)
    rough = matching.iou[matching.iou < ACCEPTED]
    overlap = _Overlap(truth.labels, shown.labels)
    missed, extra = set(matching.missed.tolist()), set(matching.extra.tolist())
    partner = dict(zip(matching.predicted.tolist(), matching.true.tolist(), strict=True))
    cuts = _cuts(overlap, missed, extra, partner)
    merges = _merges(overlap, missed, extra)
    anew = _drawn_anew(overlap, missed, extra)
    retyped = sum(
        bool(truth.types.get(t)) and truth.types.get(t) != shown.types.get(p, "")
        for p, t in partner.items()
    )
    return Edits(
        looked=matching.true.size,
        redrawn=float(((1 - rough) / (1 - _WORST)).sum()) + anew,
        added=len(missed),
        deleted=len(extra),
        split=cuts,
        merged=merges,
        retyped=retyped,
    )


class _Overlap:
    """Which cells of two label images lie mostly in each other, by id."""

    def __init__(self, true: Labels, predicted: Labels) -> None:
        first, self.true = compact(true)
        second, self.predicted = compact(predicted)
        n, m = self.true.size, self.predicted.size
        areas = np.bincount(first.ravel(), minlength=n + 1)
        others = np.bincount(second.ravel(), minlength=m + 1)
        both = (first > 0) & (second > 0)
        keys, shared = np.unique(first[both] * (m + 1) + second[both], return_counts=True)
        a, b = np.divmod(keys, m + 1)
        # (true id, predicted id): more than half of the true one in the predicted, or the reverse.
        self.held = self._pairs(a, b, shared >= _PART * areas[a])
        self.holding = self._pairs(a, b, shared >= _PART * others[b])

    def _pairs(
        self, a: NDArray[np.intp], b: NDArray[np.intp], which: Mask
    ) -> list[tuple[int, int]]:
        pairs = zip(self.true[a[which] - 1], self.predicted[b[which] - 1], strict=True)
        return [(int(t), int(p)) for t, p in pairs]


def _cuts(overlap: _Overlap, missed: set[int], extra: set[int], partner: Mapping[int, int]) -> int:
    """Cuts through predicted masks that hold several true cells; those are missed no more."""
    held: dict[int, list[int]] = {}
    for t, p in overlap.held:
        if t in missed:
            held.setdefault(p, []).append(t)
    cuts = 0
    for p, cells in held.items():
        others = len(cells) if p in partner else len(cells) - 1
        if others:
            cuts += others
            missed.difference_update(cells)
            extra.discard(p)
    return cuts


def _merges(overlap: _Overlap, missed: set[int], extra: set[int]) -> int:
    """Merges of predicted masks that lie in one true cell; they are extra no more."""
    pieces: dict[int, list[int]] = {}
    for t, p in overlap.holding:
        if p in extra:
            pieces.setdefault(t, []).append(p)
    merges = 0
    for t, masks in pieces.items():
        others = len(masks) - 1 if t in missed else len(masks)
        if others:
            merges += others
            missed.discard(t)
            extra.difference_update(masks)
    return merges


def _drawn_anew(overlap: _Overlap, missed: set[int], extra: set[int]) -> int:
    """Masks far too large or too small for the true cell they lie in, or that lies in them."""
    count = 0
    for t, p in (*overlap.held, *overlap.holding):
        if t in missed and p in extra:
            missed.discard(t)
            extra.discard(p)
            count += 1
    return count


def only(labels: Labels, ids: NDArray[np.int64]) -> Labels:
    """``labels`` (H, W) with the cells ``ids`` alone."""
    return np.where(np.isin(labels, ids), labels, 0)


def _lying_in(labels: Labels, area: Mask) -> NDArray[np.int64]:
    """Ids of the cells that lie mostly in ``area`` (H, W)."""
    index, ids = compact(labels)
    areas = np.bincount(index.ravel(), minlength=ids.size + 1)[1:]
    inside = np.bincount(index[area], minlength=ids.size + 1)[1:]
    return ids[inside >= _PART * np.maximum(areas, 1)]


def _meant(labels: Labels, mask: Mask) -> NDArray[np.int64]:
    """Ids of the true cells that lie mostly in ``mask``, or that hold most of it."""
    index, ids = compact(labels)
    areas = np.bincount(index.ravel(), minlength=ids.size + 1)[1:]
    inside = np.bincount(index[mask], minlength=ids.size + 1)[1:]
    return ids[(inside >= _PART * np.maximum(areas, 1)) | (inside >= _PART * max(1, mask.sum()))]


def _grown(mask: Mask, radius: int) -> Mask:
    side = 2 * radius + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _disc(shape: tuple[int, ...], point: tuple[float, float], radius: float) -> Mask:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((columns - point[0]) ** 2 + (rows - point[1]) ** 2 <= radius**2)


def _told(mask: Mask) -> tuple[Rectangle, ...]:
    """``mask`` as complete regions, as the product keeps them."""
    return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in rectangles(mask, mask.size))

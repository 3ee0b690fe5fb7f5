"""Which cells of an image somebody has answered for, where it is complete in parts only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from annotator.models import Cell, Revision
from inference import rectangles

ANSWERED_SHARE = 0.5  # of a cell's area that complete regions hold of its box


def is_answered(
    boxes: NDArray[np.integer], areas: NDArray[np.integer], regions: Sequence[Sequence[int]]
) -> NDArray[np.bool_]:
    """Whether somebody has answered for cells in boxes (n, 4) with areas (n,): complete there.

    Told without the label image: the regions around an answered cell hold all of it, those around
    its neighbours a little of its box.
    """
    held = rectangles.covered(boxes, regions) >= ANSWERED_SHARE * np.maximum(areas, 1)
    return np.asarray(held, bool)


def answered_cells(revision: Revision) -> QuerySet[Cell]:
    """The cells of ``revision`` that a person vouches for: all, or those in its complete regions.

    The others are what models have drawn, and no correction.
    """
    cells = revision.cells.order_by("label")
    if revision.complete_regions is None:
        return cells
    rows = list(cells.values_list("pk", "bbox", "area"))
    return cells.filter(pk__in=list(_answered(rows, revision.complete_regions)))


def _answered(
    rows: Sequence[tuple[int, Sequence[int], int]], regions: Sequence[Sequence[int]]
) -> Iterator[int]:
    if not rows or not regions:
        return
    keys, boxes, areas = zip(*rows, strict=True)
    held = is_answered(np.array(boxes), np.array(areas), regions)
    yield from (key for key, answered in zip(keys, held.tolist(), strict=True) if answered)

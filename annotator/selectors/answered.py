"""Which cells of an image somebody has answered for, where it is complete in parts only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from annotator.models import Cell, Revision
from inference import rectangles

ANSWERED_SHARE = 0.5  # of a cell's area that complete regions hold of its box
UNKNOWN = -1  # where no inner pixel is stored


def is_answered(
    boxes: NDArray[np.integer],
    areas: NDArray[np.integer],
    inner: NDArray[np.integer],
    regions: Sequence[Sequence[int]],
) -> NDArray[np.bool_]:
    """Whether somebody has answered for cells in boxes (n, 4) with areas (n,) and a pixel of the
    mask at ``inner`` (n, 2), ``UNKNOWN`` where there is none: complete there.

    Told without the label image. The regions around an answered cell hold all of it. Those around
    its neighbours hold a little of its box, or much where it is long and lies aslant or around
    them, but never a pixel of it.
    """
    held = rectangles.covered(boxes, regions) >= ANSWERED_SHARE * np.maximum(areas, 1)
    told = np.flatnonzero(held & (inner[:, 0] != UNKNOWN))
    pixels = np.concatenate([inner[told], inner[told] + 1], axis=1)
    held[told] = rectangles.covered(pixels, regions) > 0
    return np.asarray(held, bool)


def inner_of(rows: Iterable[tuple[int | None, int | None]]) -> NDArray[np.int64]:
    """(n, 2) of the stored ``inner_x`` and ``inner_y``."""
    flat = (UNKNOWN if value is None else value for row in rows for value in row)
    return np.fromiter(flat, np.int64).reshape(-1, 2)


def answered_cells(revision: Revision) -> QuerySet[Cell]:
    """The cells of ``revision`` that a person vouches for: all, or those in its complete regions.

    The others are what models have drawn, and no correction.
    """
    cells = revision.cells.order_by("label")
    regions = revision.complete_regions
    if regions is None:
        return cells
    rows = list(cells.values_list("pk", "bbox", "area", "inner_x", "inner_y")) if regions else []
    if not rows:
        return cells.none()
    keys, boxes, areas, *inner = zip(*rows, strict=True)
    at = inner_of(zip(*inner, strict=True))
    held = is_answered(np.array(boxes), np.array(areas), at, regions)
    return cells.filter(pk__in=np.array(keys)[held].tolist())

"""Reads over revisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from django.db.models import QuerySet, TextField
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast
from numpy.typing import NDArray

from annotator.models import Cell, Image, Revision

Regions = Sequence[Sequence[int]]  # [x0, y0, x1, y1] px, half-open
Boxes = NDArray[np.int64]  # (n, 4), such rows
Boxed = tuple[int, Boxes, list[tuple[Any, ...]]]  # revision, boxes, values of other columns


def head_revision(image: Image) -> Revision | None:
    """The newest revision of ``image`` with author and parent, if any."""
    return (
        Revision.objects.filter(image=image)
        .select_related("author", "parent")
        .order_by("-number")
        .first()
    )


def history_of(image: Image) -> QuerySet[Revision]:
    """All revisions of ``image``, newest first."""
    return (
        Revision.objects.filter(image=image).select_related("author", "parent").order_by("-number")
    )


def shows(regions: Regions, boxes: Boxes) -> NDArray[np.bool_]:
    """Which cells, by their ``boxes`` (n, 4), reach into ``regions``: those teach and count."""
    x0, y0, x1, y1 = boxes.T
    found = np.zeros(len(boxes), bool)
    for left, top, right, bottom in regions:
        found |= (x0 < right) & (left < x1) & (y0 < bottom) & (top < y1)
    return found


def boxes_of(cells: QuerySet[Cell], *columns: str | Combinable) -> Iterator[Boxed]:
    """For each revision of ``cells`` their boxes (n, 4), and the values of ``columns`` in them.

    The boxes are read as text: decoding the JSON of each cell takes twenty times as long.
    """
    written = Cast("bbox", TextField())
    rows = cells.order_by("revision_id").values_list("revision_id", written, *columns)
    for revision, some in groupby(rows, key=itemgetter(0)):
        _, texts, *values = zip(*some, strict=True)
        numbers = np.fromstring(",".join(text[1:-1] for text in texts), np.int64, sep=",")
        yield revision, numbers.reshape(-1, 4), values


def cells_shown(regions: Mapping[int, Regions]) -> Counter[int]:
    """Cells that complete regions show, by revision, for the regions of each."""
    cells = Cell.objects.filter(revision__in=list(regions))
    return Counter({pk: int(shows(regions[pk], boxes).sum()) for pk, boxes, _ in boxes_of(cells)})

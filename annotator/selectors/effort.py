"""What people's work was, by the models whose prediction they began with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from django.core.cache import cache
from django.db.models import (
    BooleanField,
    Count,
    Exists,
    ExpressionWrapper,
    OuterRef,
    Q,
    Subquery,
)
from django.db.models.functions import Coalesce

from annotator.models import Cell, Dataset, PredictedCell, Revision
from annotator.selectors.annotations import boxes_of, shows

# In the order of ``_Row``.
_COLUMNS = (
    "pk",
    "image",
    "parent",
    "prediction__segmenter__number",
    "prediction__detector__number",
    "created_at",
    "is_partial",
    "tells",
    "cell_count",
    "corrected_cells",
    "seconds_spent",
    "is_work",
)

_AT_ONCE = 200  # revisions whose cells are in memory
# On a single-type culture people see the culture's type, whatever the models said.
_SHOWN_TYPE = Coalesce("prediction__image__culture_type_id", "type_id", 0)


class _Row(NamedTuple):
    """A revision that began with a prediction."""

    pk: int
    image: int
    parent: int | None
    segmenter: int | None
    detector: int | None
    created_at: datetime
    is_partial: bool  # complete in parts
    tells: bool  # whether it calls anything complete
    cells: int
    edits: int
    seconds: float | None
    is_work: bool  # and was not taken back

    @property
    def is_whole(self) -> bool:
        """Whether all its cells were looked at, and none before."""
        return not self.is_partial and self.parent is None


@dataclass(frozen=True)
class _Work:
    """One revision: the cells looked at in it, and how many stayed as the models had them."""

    row: _Row
    cells: int
    same: int


def effort(dataset: Dataset) -> list[dict[str, Any]]:
    """Work by the pair of models that predicted what was begun with, the newest pair first.

    Only cells count that a revision was the first to call complete, so an image done region by
    region counts each cell once. Keys as in ``work`` of the REST contract of ``learning-curve/``.
    """
    rows = [row for row in _rows(dataset) if row.tells and row.is_work]
    whole = {row.pk: row for row in rows if row.is_whole}
    shown, same = _known_shown(dataset, [row for row in rows if not row.is_whole])
    same.update(_same(whole))
    groups: dict[tuple[int, int], list[_Work]] = {}
    for row in rows:
        cells = row.cells if row.is_whole else shown[row.pk]
        # What was not edited stayed, also where a client has numbered the cells anew.
        kept = max(same[row.pk], cells - row.edits)
        group = groups.setdefault((row.segmenter or 0, row.detector or 0), [])
        group.append(_Work(row, cells, kept))
    return [_told(group) for _, group in sorted(groups.items(), reverse=True)]


def _rows(dataset: Dataset) -> list[_Row]:
    """Revisions that began with a prediction, and not with an image that was complete before.

    Who goes on with an image of which a part is complete and names no newer prediction sees its
    other cells as the one had them that its first revision began with.
    """
    first = Q(parent__isnull=True) | Q(parent__complete_regions__isnull=False)
    # Not the regions themselves: of images answered cell by cell there are thousands in each.
    found = (
        Revision.objects.filter(first, image__dataset=dataset)
        .annotate(
            is_partial=_flag(Q(complete_regions__isnull=False)),
            tells=_flag(~Q(complete_regions=[])),
        )
        .order_by("id")
    )
    rows: dict[int, _Row] = {}
    for columns in found.values_list(*_COLUMNS):
        row = _Row(*columns)
        if row.segmenter is None and row.parent in rows:
            begun = rows[row.parent]
            row = row._replace(segmenter=begun.segmenter, detector=begun.detector)
        if row.segmenter is not None:
            rows[row.pk] = row
    return list(rows.values())


def _flag(condition: Q) -> ExpressionWrapper:
    return ExpressionWrapper(condition, output_field=BooleanField())


def _unchanged() -> Exists:
    """Whether a revision's cell is as the prediction had it: its pixels and its type."""
    of_image = Revision.objects.filter(
        image=OuterRef(OuterRef("revision__image")),
        number__lte=OuterRef(OuterRef("revision__number")),
        prediction__isnull=False,
    )
    return Exists(
        PredictedCell.objects.alias(kind=_SHOWN_TYPE).filter(
            prediction=Subquery(of_image.order_by("-number").values("prediction")[:1]),
            label=OuterRef("label"),
            area=OuterRef("area"),
            bbox=OuterRef("bbox"),
            kind=Coalesce(OuterRef("type_id"), 0),
        )
    )


def _same(whole: Iterable[int]) -> dict[int, int]:
    """Unchanged cells by revision, counted by the database."""
    cells = Cell.objects.filter(_unchanged(), revision__in=list(whole)).order_by()
    return dict(cells.values_list("revision").annotate(cells=Count("pk")))


def _known_shown(dataset: Dataset, rows: Sequence[_Row]) -> tuple[Counter[int], Counter[int]]:
    """Cells in newly complete regions by revision, and those of them that are unchanged.

    That never changes, and a data set answered cell by cell has a revision of all the image's cells
    for every few answers: it is remembered.
    """
    key = f"work-shown-{dataset.pk}"
    known: dict[int, tuple[datetime, int, int]] = cache.get(key, {})
    fresh = [row.pk for row in rows if known.get(row.pk, (None,))[0] != row.created_at]
    if fresh:
        shown: dict[int, tuple[int, int]] = {}
        for start in range(0, len(fresh), _AT_ONCE):
            shown |= _shown(fresh[start : start + _AT_ONCE])
        known |= {row.pk: (row.created_at, *shown[row.pk]) for row in rows if row.pk in shown}
        cache.set(key, known, timeout=None)
    return (
        Counter({row.pk: known[row.pk][1] for row in rows}),
        Counter({row.pk: known[row.pk][2] for row in rows}),
    )


def _shown(revisions: Sequence[int]) -> dict[int, tuple[int, int]]:
    """(cells in newly complete regions, those of them that are unchanged) by revision."""
    found = dict.fromkeys(revisions, (0, 0))  # where there is no cell at all
    columns = ("pk", "complete_regions", "parent__complete_regions")
    rows = Revision.objects.filter(pk__in=revisions).values_list(*columns)
    complete = {pk: (regions, before or []) for pk, regions, before in rows}
    cells = Cell.objects.filter(revision__in=revisions)
    for pk, boxes, (unchanged,) in boxes_of(cells, _unchanged()):
        regions, before = complete[pk]
        fresh = ~shows(before, boxes)
        if regions is not None:
            fresh &= shows(regions, boxes)
        found[pk] = int(fresh.sum()), int(np.array(unchanged, bool)[fresh].sum())
    return found


def _told(group: list[_Work]) -> dict[str, Any]:
    """The figures of one pair; null where nothing tells them."""
    cells = sum(work.cells for work in group)
    seconds: defaultdict[int, float] = defaultdict(float)
    timed_cells: Counter[int] = Counter()
    for work in group:
        if work.row.seconds is not None:
            seconds[work.row.image] += work.row.seconds
            timed_cells[work.row.image] += work.cells
    per_cell = [seconds[image] / count for image, count in timed_cells.items() if count]
    first = group[0].row
    return {
        "segmenter": f"segmenter-{first.segmenter}",
        "detector": f"detector-{first.detector}" if first.detector else None,
        "images": len({work.row.image for work in group}),
        "cells": cells,
        "timed": len(seconds),
        "seconds_per_image": median(seconds.values()) if seconds else None,
        "seconds_per_cell": median(per_cell) if per_cell else None,
        "edits_per_100": 100 * sum(work.row.edits for work in group) / cells if cells else None,
        "unchanged": sum(work.same for work in group) / cells if cells else None,
    }

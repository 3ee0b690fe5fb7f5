"""Reads for asking about single cells: which may be asked about, and which are worth it most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotator.models import CellQuestion, Dataset, PredictedCell, Prediction, QueueItem, Split
from annotator.selectors.answered import is_answered
from annotator.selectors.asking import complete_regions
from annotator.selectors.cells import vectors_of
from annotator.selectors.composition import head_revisions
from annotator.selectors.looks import answered_looks, looks_of
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import current_pair
from inference.likeness import TOGETHER, Askable, NoTwins, choose, neighbours

PER_IMAGE = 4  # cells of one image in one batch
_AT_A_TIME = 1200  # cells, the most uncertain first, that are looked at
_PAGES = 5  # of so many cells, before a batch stays short
_REACH = 3.0  # cell diameters within which another cell is a neighbour

_IMAGE = "prediction__image"
_OF_A_CELL = ("pk", "type", "uncertainty", "bbox", "area", "centroid", "embedding")
_COLUMNS = (*_OF_A_CELL, "prediction", _IMAGE)

Row = dict[str, Any]


def askable_predictions(dataset: Dataset) -> QuerySet[Prediction]:
    """The newest ones of training images of which not everything is known, and that nobody has in
    the editor.
    """
    pair = current_pair(dataset)
    if pair is None:
        return Prediction.objects.none()
    whole = head_revisions(dataset, Split.TRAIN).filter(complete_regions__isnull=True)
    # Who has the image in the editor, be it oneself, would have to merge the answers with the work.
    held = QueueItem.objects.filter(
        image=OuterRef("image"), closed_at__isnull=True, leased_until__gt=timezone.now()
    )
    return Prediction.objects.filter(
        of_pair(pair), ~Exists(held), image__dataset=dataset, image__split=Split.TRAIN
    ).exclude(image__in=whole.values("image"))


def cells_to_ask(dataset: Dataset, count: int) -> list[int]:
    """Ids of up to ``count`` cells to ask about: those most worth it, each followed by its nearest
    neighbours (``TOGETHER`` in all). At most ``PER_IMAGE`` are of one image, and no two nearly the
    same picture.

    What is worth an answer by itself is often odd. A neighbour is as usual as the others in the
    image, and with it one learns what lies between two cells (docs/active-learning.md).
    """
    if count < 1:
        return []
    answered = answered_looks(dataset)
    rows: list[Row] = []
    chosen: list[int] = []
    for page in _pages(dataset):
        rows += _open(page)
        cells = Askable(
            scores=np.array([row["uncertainty"] for row in rows], np.float64),
            images=np.array([row[_IMAGE] for row in rows], np.int64),
            types=np.array([row["type"] or 0 for row in rows], np.int64),
            vectors=vectors_of([row["embedding"] for row in rows]),
            looks=looks_of(rows),
            answered=answered,
        )
        batch = _Batch(dataset, count, NoTwins(cells.vectors))
        for row in choose(cells, count, PER_IMAGE):
            batch.add(rows[row])
        chosen = batch.chosen
        if len(chosen) >= count:
            break
    return chosen


@dataclass
class _Batch:
    """Cells chosen one group after the other."""

    dataset: Dataset
    count: int
    twins: NoTwins
    chosen: list[int] = field(default_factory=list)
    _of_image: dict[int, int] = field(default_factory=dict)
    _open: dict[int, list[Row]] = field(default_factory=dict)  # by prediction

    def add(self, cell: Row) -> None:
        """``cell`` and its neighbours, as far as they may be asked about and there is room."""
        for row in [cell, *self._beside(cell)]:
            image = row[_IMAGE]
            some = self._of_image.get(image, 0)
            full = len(self.chosen) >= self.count or some >= PER_IMAGE
            if full or row["pk"] in self.chosen:
                continue
            if not self.twins.take(vectors_of([row["embedding"]])[0]):
                continue
            self.chosen.append(row["pk"])
            self._of_image[image] = some + 1

    def _beside(self, cell: Row) -> list[Row]:
        """Those nearest to it that nobody is asked about yet."""
        prediction = cell["prediction"]
        if prediction not in self._open:
            every = _free(self.dataset).filter(prediction=prediction)
            self._open[prediction] = _open(list(every.values(*_COLUMNS)))
        others = [row for row in self._open[prediction] if row["pk"] not in self.chosen]
        others = [row for row in others if row["pk"] != cell["pk"]]
        places = np.array([row["centroid"] for row in others], np.float64).reshape(-1, 2)
        reach = _REACH * 2 * math.sqrt(cell["area"] / math.pi)
        near = neighbours(places, np.array(cell["centroid"]), reach, TOGETHER - 1)
        return [others[row] for row in near.tolist()]


def _free(dataset: Dataset) -> QuerySet[PredictedCell]:
    """Cells that nobody answered for by name nor holds."""
    taken = CellQuestion.objects.filter(
        Q(answered_at__isnull=False) | Q(leased_until__gt=timezone.now()), cell=OuterRef("pk")
    )
    return PredictedCell.objects.filter(
        ~Exists(taken), prediction__in=askable_predictions(dataset).values("pk")
    ).order_by("-uncertainty", "pk")


def _pages(dataset: Dataset) -> Iterator[list[Row]]:
    """Free cells, the most uncertain first."""
    found = _free(dataset).values(*_COLUMNS)
    for start in range(0, _PAGES * _AT_A_TIME, _AT_A_TIME):
        page = list(found[start : start + _AT_A_TIME])
        yield page
        if len(page) < _AT_A_TIME:
            return


def _open(rows: Sequence[Row]) -> list[Row]:
    """Those in places that nobody answered for, of this prediction or of one before."""
    done: set[int] = set()
    for image, regions in complete_regions({row[_IMAGE] for row in rows}).items():
        mine = [row for row in rows if regions and row[_IMAGE] == image]
        if mine:
            boxes = np.array([row["bbox"] for row in mine])
            known = is_answered(boxes, np.array([row["area"] for row in mine]), regions)
            done |= {row["pk"] for row, told in zip(mine, known.tolist(), strict=True) if told}
    return [row for row in rows if row["pk"] not in done]

"""Reads for asking about single cells: which may be asked about, and which are worth it most."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from annotator.models import (
    CellQuestion,
    Dataset,
    PlaceQuestion,
    PredictedCell,
    Prediction,
    QueueItem,
    Split,
)
from annotator.selectors.answered import inner_of, is_answered
from annotator.selectors.asking import complete_regions
from annotator.selectors.cells import KEYS_AT_ONCE, vectors_of
from annotator.selectors.composition import head_revisions
from annotator.selectors.looks import answered_looks, looks_of
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import current_pair
from inference.likeness import REACH, TOGETHER, Askable, NoTwins, choose, neighbours

PER_IMAGE = 4  # cells of one image in one batch
_AT_A_TIME = 1200  # cells, the most uncertain first, that are looked at; then twice as many …
_PAGES = 6  # … before a batch stays short: most may lie where an image is complete
_COMPARED = 100  # cells of one image, which give its few
_TRIED = 6  # of the nearest, until one may be asked about

_IMAGE = "prediction__image"
_ORDER = ("-uncertainty", "pk")
_PLACE = ("pk", "bbox", "area", "inner_x", "inner_y", _IMAGE)
_COLUMNS = (
    *_PLACE,
    *("type", "uncertainty", "centroid", "embedding", "prediction", "prediction__diameter"),
)

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
    beside = _Neighbours(dataset)
    rows: list[Row] = []
    chosen: list[int] = []
    of_image: Counter[int] = Counter()
    for page in _pages(dataset):
        kept = []
        for row in _open(page):
            of_image[row[_IMAGE]] += 1
            if of_image[row[_IMAGE]] <= _COMPARED:
                kept.append(row["pk"])
        if not kept and rows:
            continue
        rows += _rows(kept)
        cells = Askable(
            scores=np.array([row["uncertainty"] for row in rows], np.float64),
            images=np.array([row[_IMAGE] for row in rows], np.int64),
            types=np.array([row["type"] or 0 for row in rows], np.int64),
            vectors=vectors_of([row["embedding"] for row in rows]),
            looks=looks_of(rows),
            answered=answered,
        )
        best = [rows[row] for row in choose(cells, count, PER_IMAGE)]
        chosen = _batch(best, beside, count, NoTwins(cells.vectors))
        if len(chosen) >= count:
            break
    return chosen


def _batch(best: Sequence[Row], beside: _Neighbours, count: int, twins: NoTwins) -> list[int]:
    """``best`` and their neighbours, group after group, as far as there is room."""
    for cell in best:  # none of them gives way to somebody's neighbour
        twins.take(_vector(cell))
    wanted = {cell["pk"] for cell in best}
    chosen: list[int] = []
    of_image: Counter[int] = Counter()

    def has_room(image: int) -> bool:
        return len(chosen) < count and of_image[image] < PER_IMAGE

    for cell in best:
        image = cell[_IMAGE]
        if cell["pk"] in chosen or not has_room(image):
            continue
        chosen.append(cell["pk"])
        of_image[image] += 1
        fitting = (
            other["pk"]
            for other in (beside.of(cell) if has_room(image) else ())
            if other["pk"] not in chosen and (other["pk"] in wanted or twins.take(_vector(other)))
        )
        for pk in islice(fitting, min(TOGETHER - 1, PER_IMAGE - of_image[image])):
            if has_room(image):
                chosen.append(pk)
                of_image[image] += 1
    return chosen


def _vector(cell: Row) -> NDArray[np.float32]:
    return np.asarray(vectors_of([cell["embedding"]])[0])


class _Neighbours:
    """Reads the cells beside others, of each image once."""

    def __init__(self, dataset: Dataset) -> None:
        self._free = _free(dataset)
        self._places: dict[int, tuple[list[int], NDArray[np.float64]]] = {}

    def of(self, cell: Row) -> list[Row]:
        """Up to ``_TRIED`` that may be asked about, the nearest first."""
        diameter = cell["prediction__diameter"] or 2 * math.sqrt(cell["area"] / math.pi)
        pks, places = self._of_prediction(cell["prediction"])
        at = np.array(cell["centroid"], np.float64)
        near = [pks[row] for row in neighbours(places, at, REACH * diameter, _TRIED + 1)]
        rows = {row["pk"]: row for row in self._free.filter(pk__in=near).values(*_COLUMNS)}
        return _open([rows[pk] for pk in near if pk in rows and pk != cell["pk"]])

    def _of_prediction(self, prediction: int) -> tuple[list[int], NDArray[np.float64]]:
        if prediction not in self._places:
            found = list(self._free.filter(prediction=prediction).values_list("pk", "centroid"))
            places = np.array([at for _, at in found], np.float64).reshape(-1, 2)
            self._places[prediction] = [pk for pk, _ in found], places
        return self._places[prediction]


def _free(dataset: Dataset) -> QuerySet[PredictedCell]:
    """Cells that nobody answered for by name nor holds."""
    taken = CellQuestion.objects.filter(
        Q(answered_at__isnull=False) | Q(leased_until__gt=timezone.now()), cell=OuterRef("pk")
    )
    return PredictedCell.objects.filter(
        ~Exists(taken), prediction__in=askable_predictions(dataset).values("pk")
    ).order_by(*_ORDER)


def _pages(dataset: Dataset) -> Iterator[list[Row]]:
    """Free cells, the most uncertain first: where they are."""
    found, start, size = _free(dataset).values(*_PLACE), 0, _AT_A_TIME
    for _ in range(_PAGES):
        page = list(found[start : start + size])
        yield page
        if len(page) < size:
            return
        start, size = start + size, 2 * size


def _rows(cells: Sequence[int]) -> Iterator[Row]:
    """All that is compared of ``cells`` (ids), in their order: the most uncertain first."""
    for start in range(0, len(cells), KEYS_AT_ONCE):
        some = PredictedCell.objects.filter(pk__in=cells[start : start + KEYS_AT_ONCE])
        yield from some.order_by(*_ORDER).values(*_COLUMNS)


def still_open(cells: Iterable[int]) -> list[int]:
    """Those of ``cells`` (ids) that are in places that nobody answered for."""
    rows = PredictedCell.objects.filter(pk__in=list(cells)).values(*_PLACE)
    return [row["pk"] for row in _open(list(rows))]


def places_still_open(asked: Iterable[PlaceQuestion]) -> list[PlaceQuestion]:
    """Those that nobody has answered for otherwise, say by drawing the cell in the editor."""
    questions = list(asked)
    regions = complete_regions({each.prediction.image_id for each in questions})
    return [
        each
        for each in questions
        if not lies_in(regions.get(each.prediction.image_id, ()), each.x, each.y)
    ]


def lies_in(regions: Sequence[Sequence[int]], x: float, y: float) -> bool:
    """Whether one of the regions holds a point."""
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in regions)


def _open(rows: Sequence[Row]) -> list[Row]:
    """Those in places that nobody answered for, of this prediction or of one before."""
    regions = complete_regions({row[_IMAGE] for row in rows})
    by_image: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if regions.get(row[_IMAGE]):
            by_image[row[_IMAGE]].append(row)
    done: set[int] = set()
    for image, mine in by_image.items():
        boxes, areas = (np.array([row[name] for row in mine]) for name in ("bbox", "area"))
        inner = inner_of((row["inner_x"], row["inner_y"]) for row in mine)
        known = is_answered(boxes, areas, inner, regions[image])
        done |= {row["pk"] for row, told in zip(mine, known.tolist(), strict=True) if told}
    return [row for row in rows if row["pk"] not in done]

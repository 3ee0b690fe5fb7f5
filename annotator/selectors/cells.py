"""The cells of a data set as columns, for lists of a hundred thousand: what each image shows now.

An image with revisions shows its head's cells, any other its newest prediction's. Nothing here
reads a label image or makes a model instance per cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone
from numpy.typing import NDArray

from annotator.models import (
    Cell,
    CellType,
    Dataset,
    Image,
    Kind,
    PredictedCell,
    Prediction,
    QueueItem,
    TypeSource,
)
from annotator.selectors.annotations import head_revision
from annotator.selectors.answered import inner_of, is_answered
from annotator.selectors.composition import head_revisions
from annotator.selectors.predictions import newest_prediction, newest_predictions
from inference import embeddings, rectangles

MOST_CELLS = 250_000  # of one list; the images that were uploaded first are left off
EMBEDDINGS, MEASURES = "embeddings", "measures"  # what cells look like is told by
SEEN_BY = ("", "both", "segmenter", "detector")  # what the column says by numbers
SAME_BOX_IOU = 0.5  # from which a predicted cell is the revised one in its place
# Of a cell's area what must be complete for somebody to have answered for it. Not all of it: a new
# prediction draws it a little larger.
UNTYPED = -1
KEYS_AT_ONCE = 500  # in one query: databases take no list of thousands of numbers

_OF_IMAGE = (
    "image_id",
    "image__name",
    "image__split",
    "image__culture",
    "image__culture_type_id",
)
_OPINION = ("score", "probabilities", "uncertainty", "terms", "seen_by")  # of the models
_NO_OPINION: dict[str, Any] = dict(zip(_OPINION, (None, {}, None, {}, ""), strict=True))

Column = NDArray[Any]


@dataclass(frozen=True)
class Shown:
    """What an image shows: the head revision ``number`` (0: none), and its newest prediction."""

    image: int
    name: str
    split: str
    culture: str
    culture_type: int | None
    number: int = 0
    revision: int | None = None  # the head's id
    prediction: int | None = None
    regions: tuple[Sequence[int], ...] | None = ()  # that are complete; None: the whole image
    cells: int = 0

    @property
    def is_revised(self) -> bool:
        """Whether it shows a revision's cells."""
        return self.revision is not None


@dataclass(frozen=True)
class Asked:
    """Which cells to list; what is not given does not matter."""

    type: int | None = None  # a type's place in the data set, or UNTYPED
    image: int | None = None
    split: str = ""
    seen_by: str = ""
    answered: bool | None = None
    least_uncertainty: float = 0.0
    hidden: Sequence[int] = ()  # images that are shown as if nobody had annotated them


@dataclass(frozen=True)
class Cells:
    """A row per cell. Columns have the length n, but for ``boxes`` and ``vectors`` (n, …)."""

    images: list[Shown]
    left_off: int  # cells of images that one list has no room for
    image: Column  # row of ``images``
    label: Column
    type: Column  # place among the data set's types, or UNTYPED
    uncertainty: Column  # 0 … 1; NaN: no model has seen the cell
    seen_by: Column  # index of SEEN_BY
    answered: Column  # whether somebody has answered for it
    area: Column  # px²; 0: not read
    boxes: Column  # x0, y0, x1, y1; 0: not read
    vectors: Column = field(default_factory=lambda: np.zeros((0, embeddings.SIZE), np.float32))

    def rows(self, chosen: Column) -> Cells:
        """Some of the cells, in the order of ``chosen``: a mask or numbers of rows."""
        named = ("image", "label", "type", "uncertainty", "seen_by", "answered", "area", "boxes")
        columns = {name: getattr(self, name)[chosen] for name in named}
        vectors = self.vectors[chosen] if len(self.vectors) else self.vectors
        return replace(self, **columns, vectors=vectors)


def hidden_from(user: User, dataset: Dataset) -> list[int]:
    """Images by which ``user`` is measured now: their revisions must not be seen."""
    held = QueueItem.objects.filter(
        image__dataset=dataset,
        annotator=user,
        closed_at__isnull=True,
        leased_until__gt=timezone.now(),
    )
    return list(held.exclude(kind=Kind.ASK).values_list("image", flat=True))


def cells_of(dataset: Dataset, asked: Asked = Asked(), look: str = "") -> Cells:
    """The cells that ``asked`` lets pass, by image and label.

    ``look`` for orders that go by it: ``EMBEDDINGS``, with the ``vectors`` of cells, NaN where
    there is none; ``MEASURES``, with ``area`` and ``boxes`` of every cell.
    """
    images, left_off = _shown(dataset, asked)
    cells = Reader(dataset, images, look).read(left_off)
    kept = np.ones(len(cells.label), bool)
    if asked.type is not None:
        kept &= cells.type == asked.type
    if asked.seen_by:
        kept &= cells.seen_by == SEEN_BY.index(asked.seen_by)
    if asked.answered is not None:
        kept &= cells.answered == asked.answered
    if asked.least_uncertainty > 0:
        kept &= cells.uncertainty >= asked.least_uncertainty
    order = np.lexsort((cells.label, cells.image))
    return cells.rows(order[kept[order]])


def _shown(dataset: Dataset, asked: Asked) -> tuple[list[Shown], int]:
    """What the images show, in order of upload, and how many cells are left off with others."""
    only = {} if asked.image is None else {"image_id": asked.image}
    found: dict[int, Shown] = {}
    heads = head_revisions(dataset, asked.split).filter(**only).exclude(image__in=asked.hidden)
    columns = ("pk", "number", "cell_count", "complete_regions")
    for pk, number, cells, regions, *image in heads.values_list(*columns, *_OF_IMAGE):
        complete = None if regions is None else tuple(regions)
        shown = _shown_image(*image)
        found[shown.image] = replace(
            shown, revision=pk, number=number, cells=cells, regions=complete
        )
    predicted = newest_predictions(dataset, asked.split).filter(**only)
    for pk, cells, *image in predicted.values_list("pk", "cell_count", *_OF_IMAGE):
        shown = found.get(image[0]) or replace(_shown_image(*image), cells=cells)
        found[shown.image] = replace(shown, prediction=pk)
    newest_first = sorted(found.values(), key=lambda shown: -shown.image)
    room = np.cumsum([shown.cells for shown in newest_first]) <= MOST_CELLS
    kept = newest_first[: int(room.sum())]
    left_off = sum(shown.cells for shown in newest_first[len(kept) :])
    return kept[::-1], left_off


def _shown_image(image: int, name: str, split: str, culture: str, kind: int | None) -> Shown:
    return Shown(image=image, name=name, split=split, culture=culture, culture_type=kind)


class Reader:
    """Reads the cells of some images in one or two queries per kind."""

    def __init__(self, dataset: Dataset, images: list[Shown], look: str) -> None:
        self.images = images
        self.look = look
        types = CellType.objects.filter(dataset=dataset).values_list("pk", flat=True)
        self.types: dict[int | None, int] = {None: UNTYPED}
        self.types |= {pk: position for position, pk in enumerate(types)}

    def read(self, left_off: int) -> Cells:
        """All cells of the images, in no order."""
        parts = [self._predicted(), self._revised()]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Cells(self.images, left_off, **columns)

    def _predicted(self) -> dict[str, Column]:
        """Of images without a revision."""
        rows: dict[int | None, int] = {
            shown.prediction: row
            for row, shown in enumerate(self.images)
            if not shown.is_revised and shown.prediction
        }
        # On a single-type culture the file name knows better than the model.
        named = np.array(
            [self.types.get(shown.culture_type, UNTYPED) for shown in self.images], np.int16
        )
        found = self._predictions(rows, boxes=self.look == MEASURES)
        culture = named[found["image"]] if len(named) else found["type"]
        found["type"] = np.where(culture >= 0, culture, found["type"])
        return found | {"answered": np.zeros(len(found["label"]), bool)}

    def _predictions(self, rows: Mapping[int | None, int], boxes: bool) -> dict[str, Column]:
        """Predicted cells of the predictions in ``rows``, {prediction: row of ``images``}."""
        names = ["prediction_id", "label", "type_id", "uncertainty", "seen_by"]
        names += ["area", "bbox"] * boxes + ["embedding"] * (self.look == EMBEDDINGS)
        read = _columns(PredictedCell, "prediction", rows, names)
        size = len(read["label"])
        return {
            "image": _numbers(map(rows.__getitem__, read["prediction_id"]), np.int32, size),
            "label": _numbers(read["label"], np.int64, size),
            "type": _numbers(map(self.types.__getitem__, read["type_id"]), np.int16, size),
            "uncertainty": _numbers(read["uncertainty"], np.float32, size),
            "seen_by": _numbers(map(SEEN_BY.index, read["seen_by"]), np.int8, size),
            "area": _numbers(read.get("area", [0] * size), np.int64, size),
            "boxes": _boxes(read.get("bbox"), size),
            "vectors": vectors_of(read.get("embedding", [])),
        }

    def _revised(self) -> dict[str, Column]:
        """Of head revisions, with what the newest prediction says of a cell in the same place."""
        rows = {shown.revision: row for row, shown in enumerate(self.images) if shown.is_revised}
        names = ["revision_id", "label", "type_id", "type_source", "bbox", "area"]
        names += ["inner_x", "inner_y"]
        read = _columns(Cell, "revision", rows, names)
        size = len(read["label"])
        found = {
            "image": _numbers(map(rows.__getitem__, read["revision_id"]), np.int32, size),
            "label": _numbers(read["label"], np.int64, size),
            "type": _numbers(map(self.types.__getitem__, read["type_id"]), np.int16, size),
            "area": _numbers(read["area"], np.int64, size),
            "boxes": _boxes(read["bbox"], size),
        }
        inner = inner_of(zip(read["inner_x"], read["inner_y"], strict=True))
        by_hand = [source == TypeSource.HUMAN for source in read["type_source"]]
        found["answered"] = np.array(by_hand, bool) | self._complete(found, inner)
        predicted = dict(self._revised_and_predicted())
        said = self._predictions(predicted, boxes=True)
        at = _same_places(found, said)
        known = at >= 0
        blank = np.full((size, embeddings.SIZE), np.nan, np.float32)
        for name, unknown in (("uncertainty", np.float32(np.nan)), ("seen_by", np.int8(0))):
            found[name] = np.full(size, unknown)
            found[name][known] = said[name][at[known]]
        found["vectors"] = blank if self.look == EMBEDDINGS else blank[:0]
        if self.look == EMBEDDINGS:
            found["vectors"][known] = said["vectors"][at[known]]
        return found

    def _revised_and_predicted(self) -> Iterable[tuple[int | None, int]]:
        for row, shown in enumerate(self.images):
            if shown.is_revised and shown.prediction:
                yield shown.prediction, row

    def _complete(self, found: Mapping[str, Column], inner: Column) -> Column:
        """Whether each revised cell lies where its image is complete."""
        whole = np.array([shown.regions is None for shown in self.images], bool)
        complete: Column = whole[found["image"]] if len(whole) else np.zeros(0, bool)
        for row, cells in _by_image(found["image"]):
            regions = self.images[row].regions
            if regions:
                place = found["boxes"][cells], found["area"][cells], inner[cells]
                complete[cells] |= is_answered(*place, regions)
        return complete


def _columns(
    model: type[Model], of: str, rows: Mapping[int | None, int], names: Sequence[str]
) -> dict[str, Sequence[Any]]:
    """Columns of the rows of ``model`` whose ``of`` is in ``rows``."""
    keys = [key for key in rows if key is not None]
    lines: list[tuple[Any, ...]] = []
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = model._default_manager.filter(**{f"{of}__in": keys[start : start + KEYS_AT_ONCE]})
        lines += some.order_by().values_list(*names)
    columns = zip(*lines, strict=True) if lines else ((),) * len(names)
    return dict(zip(names, columns, strict=True))


def _numbers(values: Iterable[Any], dtype: Any, size: int) -> Column:
    return np.fromiter(values, dtype, size)


def _boxes(read: Sequence[Sequence[int]] | None, size: int) -> Column:
    if not read:
        return np.zeros((size, 4), np.int32)
    return np.array(read, np.int32).reshape(size, 4)


def vectors_of(read: Sequence[bytes | memoryview | None]) -> Column:
    """(n, d) of embeddings, NaN where there is none or one of another size."""
    found = np.full((len(read), embeddings.SIZE), np.nan, np.float32)
    length = 2 * embeddings.SIZE
    known = [row for row, raw in enumerate(read) if raw is not None and len(raw) == length]
    if known:
        found[known] = embeddings.unpack_many([bytes(read[row] or b"") for row in known])
    return found


def _by_image(image: Column) -> Iterable[tuple[int, Column]]:
    """(row of an image, rows of its cells), for each image that has cells."""
    if not len(image):
        return
    order = np.argsort(image, kind="stable")
    firsts = np.flatnonzero(np.diff(image[order], prepend=-1))
    for cells in np.split(order, firsts[1:]):
        yield int(image[cells[0]]), cells


def _same_places(found: Mapping[str, Column], said: Mapping[str, Column]) -> Column:
    """For each cell of ``found`` the row of ``said`` in the same place of its image, or −1.

    The cell of the same number, where that is in the same place, else the one most like it.
    """
    at = np.full(len(found["label"]), -1, np.intp)
    if not len(at) or not len(said["label"]):
        return at
    keys = [(each["image"].astype(np.int64) << 32) | each["label"] for each in (found, said)]
    order = np.argsort(keys[1])
    near = order[np.minimum(np.searchsorted(keys[1][order], keys[0]), len(order) - 1)]
    likely = keys[1][near] == keys[0]
    same = rectangles.overlaps(found["boxes"], said["boxes"][near]) >= SAME_BOX_IOU
    at[likely & same] = near[likely & same]
    theirs = dict(_by_image(said["image"]))
    for row, cells in _by_image(found["image"]):
        left, others = cells[at[cells] < 0], theirs.get(row)
        if len(left) and others is not None:
            match = rectangles.matched(found["boxes"][left], said["boxes"][others], SAME_BOX_IOU)
            at[left] = np.where(match >= 0, others[match], -1)
    return at


def cell_in_detail(image: Image, label: int, hidden: bool = False) -> dict[str, Any] | None:
    """A cell of the head revision, else of the newest prediction, and what the models say of it.

    None when there is no such cell. ``hidden``: as if nobody had annotated the image. Keys as in
    the REST contract of a cell.
    """
    head, prediction = None if hidden else head_revision(image), newest_prediction(image)
    said = _said_of(prediction, label, None)
    if head is None:
        if said is None:
            return None
        shown = {"type": said["type__name"], "type_source": "model" if said["type__name"] else ""}
        if image.culture_type is not None:
            shown = {"type": image.culture_type.name, "type_source": TypeSource.FILE_NAME.value}
        shown |= {"area": said["area"], "centroid": said["centroid"]}
    else:
        columns = ("type__name", "type_source", "area", "centroid", "bbox")
        row = head.cells.filter(label=label).values(*columns).first()
        if row is None:
            return None
        said = _said_of(prediction, label, row.pop("bbox"))
        shown = {"type": row.pop("type__name"), **row}
    opinion = {key: said[key] for key in _OPINION} if said else _NO_OPINION
    committee = prediction is not None and prediction.detector_id is not None
    return shown | opinion | {"committee": committee}


def _said_of(
    prediction: Prediction | None, label: int, bbox: Sequence[int] | None
) -> dict[str, Any] | None:
    """The predicted cell of this number, or in the place of ``bbox``: its columns."""
    if prediction is None:
        return None
    rows: Any = prediction.cells.order_by("label").values(
        "label", "bbox", "area", "centroid", "type__name", *_OPINION
    )
    if bbox is None:
        found: dict[str, Any] | None = rows.filter(label=label).first()
        return found
    others = list(rows)
    at = rectangles.matched(
        np.array([bbox]), np.array([row["bbox"] for row in others]).reshape(-1, 4), SAME_BOX_IOU
    )[0]
    return others[at] if at >= 0 else None

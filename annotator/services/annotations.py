"""Revisions: a whole label image with typed cells, appended under an optimistic lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import NotHere, StaleRevision, UnusableLabels
from annotator.models import (
    Cell,
    CellType,
    Image,
    Outcome,
    Prediction,
    Revision,
    TypeSource,
)
from annotator.services.drafts import draft_discard
from annotator.services.queue import queue_item_close
from annotator.services.shown import (
    State,
    is_renewable,
    predicted_state,
    renewed,
    revised_state,
)
from inference import labels as label_images

Labels = NDArray[Any]
CellTypes = Mapping[int, str | None]
FEW_CELLS = 10_000  # never too many
SMALLEST_CELL = 16  # px² per cell of an image, on average
LARGEST_LABEL = 2**31 - 1
MOST_REGIONS = 5_000
SAME_CELL_IOU = 0.5  # above it, matches are one to one by arithmetic


@dataclass(frozen=True)
class RevisionDetails:
    """What comes with a revision beside its labels."""

    source: str = "rest"  # browser, rest, import
    type_sources: Mapping[int, str] = field(default_factory=dict)  # absent: human
    complete_regions: Sequence[Sequence[int]] | None = None  # None: the whole image
    seconds_spent: float | None = None
    note: str = ""
    prediction: Prediction | None = None  # what the annotator began with
    corrected_cells: int | None = None  # None: counted against what the annotator began with
    is_work: bool = True  # False: it takes another one back
    # Some cells of a list were changed: the author's draft of the image and its place in the queue
    # stay as they are.
    keeps_work: bool = False
    keeps_place: bool = False  # in the queue; the draft is done with


@dataclass(frozen=True)
class _Base:
    """What the author began with: labels and the types of its cells."""

    labels: Labels
    types: Mapping[int, str | None]


class _Row(NamedTuple):
    """A ``Cell`` to be, by its fields. Thousands of model instances cost more than their rows."""

    label: int
    type_id: int | None
    type_source: str
    bbox: list[int]
    area: int
    centroid: list[float]
    inner_x: int
    inner_y: int


@dataclass(frozen=True)
class _Sent:
    """A request, checked: what a repetition of it is told by."""

    labels: Labels
    types: dict[int, CellType | None]
    regions: list[list[int]] | None
    base_number: int
    keeps_work: bool


def revision_submit(
    *,
    image: Image,
    author: User | None,
    labels: Labels,
    cell_types: CellTypes,
    base_number: int,
    details: RevisionDetails = RevisionDetails(),
) -> Revision:
    """Append a revision to ``image`` and close its queue item.

    Args:
        labels: (H, W) integers, 0 = background. Ids are kept, so that clients can follow cells.
        cell_types: type name or None per id; every id must have pixels; ids left out have no
            type. On a single-type culture a cell without a type takes the culture's.
        base_number: number of the head revision the author began with (0: there was none).

    The same labels, types and regions sent again by the same author return the head made by the
    first try, so a client may repeat a request whose answer was lost.

    Raises:
        UnusableLabels: shape, dtype, an id without pixels, an unknown type.
        StaleRevision: the head has moved on.
        NotHere: the image was deleted meanwhile.
        Unavailable: object storage failed.
    """
    _check_fits(image, labels)
    geometry = label_images.cell_geometry(labels)
    _check_cells(image, geometry.labels)
    types = _checked_types(image, geometry.labels.tolist(), cell_types)
    regions = _checked_regions(image, details.complete_regions)
    head = image.revisions.order_by("-number").first()
    sent = _Sent(labels, types, regions, base_number, details.keeps_work)
    if (head.number if head else 0) != base_number:
        return _repeated(image, head, author, sent)
    cells = _cells(image, geometry, types, details.type_sources)
    corrected = details.corrected_cells
    if corrected is None:
        named = _named(image, types, cells)
        bases = _bases_of(image, head, details)
        corrected = min(corrected_count(labels, named, base) for base in bases)
    revision = Revision(
        image=image,
        number=base_number + 1,
        parent=head,
        prediction=details.prediction,
        author=author,
        source=details.source,
        labels_key=storage.labels_put(labels),
        complete_regions=regions,
        cell_count=len(cells),
        corrected_cells=corrected,
        seconds_spent=details.seconds_spent,
        note=details.note[:300],
        is_work=details.is_work,
    )
    try:
        appended = _append(revision, cells, details.keeps_work or details.keeps_place)
    except IntegrityError:  # another submit took the number while ours was being stored
        head = image.revisions.order_by("-number").first()
        return _repeated(image, head, author, sent)
    _draft_done(image, author, sent)
    return appended


def checked_types(*, image: Image, labels: Labels, cell_types: CellTypes) -> dict[int, str | None]:
    """{label: type name} that a revision of these labels would have. Raises UnusableLabels."""
    _check_fits(image, labels)
    ids = label_images.cell_ids(labels)
    _check_cells(image, ids)
    types = _checked_types(image, ids.tolist(), cell_types)
    kinds = {label: kind or image.culture_type for label, kind in types.items()}
    return {label: kind.name if kind else None for label, kind in kinds.items()}


@transaction.atomic
def _append(revision: Revision, cells: Sequence[_Row], keeps_place: bool) -> Revision:
    revision.save(force_insert=True)
    _cells_insert(revision, cells)
    if not keeps_place:
        queue_item_close(image=revision.image, outcome=Outcome.SUBMITTED)
    return revision


def _draft_done(image: Image, author: User | None, sent: _Sent) -> None:
    if author is not None and not sent.keeps_work:
        draft_discard(image=image, author=author)


def _named(
    image: Image, types: Mapping[int, CellType | None], cells: Sequence[_Row]
) -> dict[int, str | None]:
    """The type's name or None of each cell."""
    named = {kind.pk: kind.name for kind in (*types.values(), image.culture_type) if kind}
    return {cell.label: named[cell.type_id] if cell.type_id else None for cell in cells}


def _cells_insert(revision: Revision, cells: Sequence[_Row]) -> None:
    """What ``bulk_create`` does, in a fifth of the time for thousands of cells: one short
    statement, repeated, where Django builds (and SQLite parses) statements of thousands of
    parameters.
    """
    by_attribute = {field.attname: str(field.column) for field in Cell._meta.concrete_fields}
    quoted = connection.ops.quote_name
    columns = [by_attribute[name] for name in ("revision_id", *_Row._fields)]
    names = ", ".join(quoted(column) for column in columns)
    places = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO {quoted(Cell._meta.db_table)} ({names}) VALUES ({places})"
    as_json = connection.ops.adapt_json_value
    rows = [
        (revision.pk, label, kind, source, as_json(bbox, None), area, as_json(centroid, None), x, y)
        for label, kind, source, bbox, area, centroid, x, y in cells
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _repeated(image: Image, head: Revision | None, author: User | None, sent: _Sent) -> Revision:
    """The head, when it is what this very request made before; else StaleRevision or NotHere."""
    if not Image.objects.filter(pk=image.pk).exists():
        raise NotHere(f"{image.name} was deleted meanwhile; ask for the next image.")
    if head is not None and head.number == sent.base_number + 1 and head.author == author:
        stored = {cell.label: cell.type_id for cell in head.cells.all()}
        wanted = {
            label: kind.pk if kind else image.culture_type_id for label, kind in sent.types.items()
        }
        same = stored == wanted and head.complete_regions == sent.regions
        if same and head.labels_key == storage.labels_put(sent.labels):
            _draft_done(image, author, sent)
            return head
    raise StaleRevision(
        f"{image.name} was saved by somebody else in the meantime (revision "
        f"{head.number if head else 0}, yours began with {sent.base_number}). Load it again; your "
        "draft is kept until you discard it."
    )


def _check_fits(image: Image, labels: Labels) -> None:
    try:
        label_images.validate(labels, (image.height, image.width))
    except label_images.LabelsError as error:
        raise UnusableLabels(str(error)) from error


def _check_cells(image: Image, ids: NDArray[np.int64]) -> None:
    """Refuse a picture in the place of labels, and numbers that the database cannot keep."""
    most = max(FEW_CELLS, image.height * image.width // SMALLEST_CELL)
    if len(ids) > most:
        raise UnusableLabels(
            f"The labels hold {len(ids)} cells; an image of {image.width}×{image.height} px has "
            f"room for {most}. Is it a picture instead of labels?"
        )
    if len(ids) and int(ids[-1]) > LARGEST_LABEL:
        raise UnusableLabels(
            f"The label {ids[-1]} is larger than {LARGEST_LABEL}; number the cells from 1."
        )


def _checked_types(
    image: Image, ids: list[int], cell_types: CellTypes
) -> dict[int, CellType | None]:
    """Type row or None for every cell that has pixels."""
    empty = sorted(set(cell_types) - set(ids))
    if empty:
        raise UnusableLabels(
            f"Cells without a single pixel are listed: {', '.join(map(str, empty[:5]))}"
            f"{' …' * (len(empty) > 5)}."
        )
    known = {row.name: row for row in image.dataset.types.all()}
    unknown = sorted({name for name in cell_types.values() if name and name not in known})
    if unknown:
        raise UnusableLabels(
            f"The cell type {unknown[0]} is unknown; this data set has "
            f"{', '.join(known) or 'no types'}."
        )
    return {label: known.get(cell_types.get(label) or "") for label in ids}


def _checked_regions(image: Image, regions: Any) -> list[list[int]] | None:
    """Boxes inside the image as [[x0, y0, x1, y1], …], or None for the whole image."""
    if regions is None:
        return None
    if len(regions) > MOST_REGIONS:
        raise UnusableLabels(
            f"{len(regions)} complete regions are too many: send {MOST_REGIONS} at most, of more"
            " pixels each."
        )
    checked = []
    for region in regions:
        box = [int(edge) for edge in region]
        inside = len(box) == 4 and 0 <= box[0] < box[2] <= image.width
        if not inside or not 0 <= box[1] < box[3] <= image.height:
            raise UnusableLabels(
                f"The complete region {list(region)} is no box [x0, y0, x1, y1] inside "
                f"{image.width}×{image.height} px."
            )
        checked.append(box)
    return checked


def _cells(
    image: Image,
    geometry: label_images.CellGeometry,
    types: dict[int, CellType | None],
    sources: Mapping[int, str],
) -> list[_Row]:
    wrong = set(sources.values()) - set(TypeSource.values)
    if wrong:
        raise UnusableLabels(f"The type source {wrong.pop()} is unknown.")
    rows = []
    culture = image.culture_type
    boxes, areas = geometry.boxes.tolist(), geometry.areas.tolist()
    centroids, inner = geometry.centroids.round(2).tolist(), geometry.inner.tolist()
    for row, number in enumerate(geometry.labels.tolist()):
        kind, source = types[number], sources.get(number, TypeSource.HUMAN.value)
        if kind is None and culture is not None:
            kind, source = culture, TypeSource.FILE_NAME.value
        pk, source = (kind.pk, source) if kind else (None, "")
        rows.append(_Row(number, pk, source, boxes[row], areas[row], centroids[row], *inner[row]))
    return rows


def _bases_of(image: Image, head: Revision | None, details: RevisionDetails) -> list[_Base]:
    """What the author may have begun with: the head, as it is or with a newer prediction's cells
    where nobody has answered, else the prediction shown, else nothing.
    """
    prediction = details.prediction
    if head is not None:
        as_it_is = revised_state(head)
        states = [as_it_is]
        if prediction is not None and is_renewable(head, prediction):
            states.append(renewed(as_it_is, predicted_state(prediction))[0])
        return [_base(image, state) for state in states]
    if prediction is None and details.source != "import":
        prediction = image.predictions.order_by("-id").first()
    if prediction is None:
        return [_Base(np.zeros((image.height, image.width), np.uint16), {})]
    return [_base(image, predicted_state(prediction))]


def _base(image: Image, state: State) -> _Base:
    """On a single-type culture people see the culture's type, whatever the models said."""
    culture = image.culture_type.name if image.culture_type else None
    return _Base(state.labels, {label: name or culture for label, name in state.types.items()})


def corrected_count(labels: Labels, types: CellTypes, base: _Base) -> int:
    """Cells of ``labels`` added, changed or retyped, and cells of ``base`` deleted.

    ``types`` has a type or None for every cell of ``labels``.
    A cell is the same cell when the two overlap by an IoU above 0.5; it is changed when a single
    pixel or its type differs. Splitting one cell in halves counts its parts and the original.
    """
    rows, columns, iou = label_images.iou_pairs(labels, base.labels)
    ids, old_ids = label_images.cell_ids(labels), label_images.cell_ids(base.labels)
    same = ids[rows[iou == 1]].tolist(), old_ids[columns[iou == 1]].tolist()
    kept = sum(types.get(new) == base.types.get(old) for new, old in zip(*same, strict=True))
    return (len(ids) - kept) + (len(old_ids) - int((iou > SAME_CELL_IOU).sum()))


def types_by_overlap(
    *, image: Image, labels: Labels
) -> tuple[dict[int, str | None], dict[int, str]]:
    """Types and their sources for cells of ``labels``, from what the image shows now.

    A cell takes the type of the head revision's (else the newest prediction's) cell with which
    it shares more than half of its own pixels. Raises UnusableLabels for labels that do not fit.
    """
    _check_fits(image, labels)
    head = image.revisions.order_by("-number").first()
    prediction = None if head else image.predictions.order_by("-id").first()
    shown = head or prediction
    # On a single-type culture the file name knows better than the model.
    if shown is None or (head is None and image.culture_type_id is not None):
        return {}, {}
    rows = dict(shown.cells.exclude(type=None).values_list("label", "type__name"))
    sources: dict[int, str] = (
        dict(head.cells.values_list("label", "type_source"))
        if head
        else dict.fromkeys(rows, TypeSource.MODEL.value)
    )
    old = storage.labels_get(shown.labels_key)
    inside = (labels > 0) & (old > 0)
    pairs, shared = np.unique(
        np.stack([labels[inside], old[inside]]).astype(np.int64), axis=1, return_counts=True
    )
    geometry = label_images.cell_geometry(labels)
    areas = dict(zip(geometry.labels.tolist(), geometry.areas.tolist(), strict=True))
    found = {
        new: was
        for (new, was), count in zip(pairs.T.tolist(), shared.tolist(), strict=True)
        if 2 * count > areas[new] and was in rows
    }
    return (
        {new: rows[was] for new, was in found.items()},
        {new: sources[was] for new, was in found.items()},
    )

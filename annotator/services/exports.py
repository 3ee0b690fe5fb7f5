"""Exports: label images and cells of revisions or predictions, to a folder; and the claims of the
workers that pack them (``annotator.work.exporting``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, Conflict, NotReady, Unavailable
from annotator.formats.cellpose import write_cellpose
from annotator.formats.coco import write_coco
from annotator.formats.labelled import TOLD_IN_PARTS, LabelledCell, LabelledImage
from annotator.formats.tables import write_tables
from annotator.models import (
    CellType,
    Dataset,
    Export,
    ExportStatus,
    Image,
    Prediction,
    Revision,
    Split,
    TypeSource,
)
from annotator.readers import model_channels
from annotator.selectors.answered import answered_cells
from annotator.selectors.composition import head_revisions
from annotator.selectors.exports import waiting_exports
from annotator.selectors.predictions import newest_predictions
from annotator.services.bundles import BUNDLE
from annotator.services.images import image_array, image_stem

FORMATS = ("coco", "cellpose", "csv")
CHUNK = 100  # images read from the database at once
_LONGEST_STEM = 230  # bytes: file systems take 255 for a name, endings included
REVISIONS, PREDICTIONS = "revisions", "predictions"
MOST_TRIES = 3
_DIED = (
    f"Its worker died {MOST_TRIES} times, probably for lack of memory or disk space. Export one"
    " split at a time, or ask whoever runs this server."
)


@dataclass(frozen=True)
class ExportRequest:
    """What to export: a format of ``FORMATS``, of revisions or predictions, of one split or all."""

    dataset: Dataset
    format: str
    source: str = REVISIONS
    split: str = ""


@dataclass(frozen=True)
class Exported:
    """What was written, and where."""

    images: int
    cells: int
    path: Path


def export_check(request: ExportRequest) -> None:
    """Raise ``BadInput`` for what there is not, and ``NotReady`` when nothing is to be exported."""
    for what, value, known in (
        ("format", request.format, FORMATS),
        ("source", request.source, (REVISIONS, PREDICTIONS)),
        ("split", request.split, ("", *Split.values)),
    ):
        if value not in known:
            choices = ", ".join(word for word in known if word)
            raise BadInput(
                f"There is no {what} {value!r}; use one of {choices}.", fields={what: [choices]}
            )
    if not _rows(request).exists():
        first = "correct some images" if request.source == REVISIONS else "predict some images"
        where = f" in the {request.split} split" if request.split else ""
        raise NotReady(
            f"{request.dataset.name} has no {request.source} to export{where}; {first} first."
        )


def export_write(
    *, request: ExportRequest, out: Path, on_image: Callable[[], None] | None = None
) -> Exported:
    """Write the export to ``out``: a folder, or for coco a .json file.

    ``on_image`` is called before each image and may raise to stop.

    Raises ``BadInput``, ``NotReady``, ``Unavailable`` (storage, or ``out`` cannot be written).
    """
    export_check(request)
    types = list(request.dataset.types.values_list("name", flat=True))
    counted = _Counted(_labelled(request), on_image)
    try:
        if request.format == "coco":
            write_coco(counted, types, out)
        elif request.format == "cellpose":
            write_cellpose(counted, out)
        else:
            write_tables(counted, types, out)
    except OSError as error:
        raise Unavailable(
            f"The export cannot be written to {out.name}: {error.strerror or error}."
        ) from error
    return Exported(counted.images, counted.cells, out)


class _Counted:
    """Images passing by, counted; the formats read them one at a time."""

    def __init__(
        self, images: Iterator[LabelledImage], on_image: Callable[[], None] | None
    ) -> None:
        self._images = images
        self._on_image = on_image
        self.images = 0
        self.cells = 0

    def __iter__(self) -> Iterator[LabelledImage]:
        for image in self._images:
            if self._on_image:
                self._on_image()
            self.images += 1
            self.cells += len(image.cells)
            yield image


def _rows(request: ExportRequest):  # type: ignore[no-untyped-def]
    if request.source == REVISIONS:
        # Where nothing is complete, all cells are the models'.
        return head_revisions(request.dataset, request.split).exclude(complete_regions=[])
    return newest_predictions(request.dataset, request.split)


def _labelled(request: ExportRequest) -> Iterator[LabelledImage]:
    rows = _rows(request)
    stems = unique_stems(Image.objects.filter(pk__in=rows.values("image")).order_by("id"))
    channels = model_channels(request.dataset.channels)
    for row in _in_chunks(rows):
        image: Image = row.image
        revised = isinstance(row, Revision)
        cells = _revised_cells(row) if revised else _predicted_cells(row, image.culture_type)
        yield LabelledImage(
            id=image.pk,
            name=image.name,
            stem=stems[image.pk],
            facts={
                "split": image.split,
                "culture": image.culture,
                "batch": image.batch,
                "well": image.well,
                "field": image.field,
                "source": f"revision {row.number}" if revised else _pair_name(row),
                "complete": _complete(row) if revised else "no",
            },
            pixel_size_um=image.pixel_size_um,
            labels=_labels_of(row, cells),
            cells=cells,
            channels=channels,
            pixels=lambda image=image: image_array(image),  # type: ignore[misc]
        )


def _in_chunks(rows):  # type: ignore[no-untyped-def]
    """``rows`` by image, as they are when their turn comes."""
    ids = list(rows.values_list("image", flat=True))
    for start in range(0, len(ids), CHUNK):
        # Read to the end before anything is yielded: with an open SELECT, SQLite refuses any
        # UPDATE of this connection as soon as anybody else has written.
        yield from list(rows.filter(image__in=ids[start : start + CHUNK]))


def _pair_name(prediction: Prediction) -> str:
    versions = [prediction.segmenter, prediction.detector]
    return " + ".join(str(version) for version in versions if version)


def _complete(revision: Revision) -> str:
    return "yes" if revision.complete_regions is None else TOLD_IN_PARTS


def _labels_of(row: Revision | Prediction, cells: Sequence[LabelledCell]) -> NDArray[Any]:
    """The label image; of one that is complete in parts, with those ``cells`` alone."""
    labels = storage.labels_get(row.labels_key)
    if isinstance(row, Prediction) or row.complete_regions is None:
        return labels
    kept = np.isin(labels, [cell.label for cell in cells])
    return np.where(kept, labels, np.zeros((), labels.dtype))


def _revised_cells(revision: Revision) -> tuple[LabelledCell, ...]:
    """Those that a person vouches for."""
    return tuple(
        LabelledCell(
            label=cell.label,
            type=cell.type.name if cell.type else "",
            type_source=cell.type_source,
        )
        for cell in answered_cells(revision).select_related("type")
    )


def _predicted_cells(prediction: Prediction, culture: CellType | None) -> tuple[LabelledCell, ...]:
    """What no model gave a type has the one of its single-type culture."""
    named = (culture.name, TypeSource.FILE_NAME.value) if culture else ("", "")
    typed = {
        cell.pk: (cell.type.name, TypeSource.MODEL.value) if cell.type else named
        for cell in prediction.cells.select_related("type")
    }
    return tuple(
        LabelledCell(
            label=cell.label,
            type=typed[cell.pk][0],
            type_source=typed[cell.pk][1],
            score=cell.score,
            uncertainty=cell.uncertainty,
            probabilities=cell.probabilities,
        )
        for cell in prediction.cells.select_related("type")
    )


def unique_stems(exported: Iterable[Image]) -> dict[int, str]:
    """A file stem per image id; of images that share one, all but the first get their id added.

    Compared without case, because the files may be unpacked on Windows or macOS.
    """
    stems: dict[int, str] = {}
    taken: set[str] = set()
    images = list(exported)
    wished = {image_stem(image).casefold() for image in images}
    for image in images:
        stem = image_stem(image)
        if len(stem.encode()) > _LONGEST_STEM:
            # At a character's end, with the id in the place of what is lost.
            short = stem.encode()[: _LONGEST_STEM - 24].decode(errors="ignore")
            stem = f"{short}_{image.pk}"
        if stem.casefold() in taken:
            stem = f"{stem}_{image.pk}"
            while stem.casefold() in taken | wished:
                stem += "_"
        taken.add(stem.casefold())
        stems[image.pk] = stem
    return stems


def export_create(*, request: ExportRequest, requested_by: User) -> Export:
    """Queue an export for a worker; raises as ``export_check`` does."""
    export_check(request)
    with transaction.atomic():
        export = Export.objects.create(
            dataset=request.dataset,
            requested_by=requested_by,
            format=request.format,
            source=request.source,
            split=request.split,
        )
        enqueue(Job.EXPORT, export.pk)
    return export


def export_claim(*, export_id: int) -> Export | None:
    """The export, taken for this worker; None when another has it or it has cost too many.

    Its ``tries`` are the claim: every later write is conditional on them.
    """
    now = timezone.now()
    mine = waiting_exports(now).filter(pk=export_id).order_by()
    begun = {"status": ExportStatus.RUNNING, "started_at": now, "heartbeat_at": now}
    if not mine.update(**begun, tries=F("tries") + 1):
        return None
    export = Export.objects.select_related("dataset").get(pk=export_id)
    if export.tries > MOST_TRIES:
        export_finish(export=export, status=ExportStatus.FAILED, message=_DIED)
        return None
    return export


def _held(export_id: int, tries: int) -> QuerySet[Export]:
    return Export.objects.filter(pk=export_id, status=ExportStatus.RUNNING, tries=tries)


def export_beat(*, export_id: int, tries: int) -> bool:
    """Say that its worker lives; False when the export is another's, over, or deleted."""
    return _held(export_id, tries).update(heartbeat_at=timezone.now()) == 1


def export_release(*, export: Export) -> None:
    """Let go of a held export for another worker, e.g. because this one shuts down."""
    # The try is given back, and no more: for images written nothing is, as the next worker begins
    # with the first of them again.
    held = _held(export.pk, export.tries)
    held.update(status=ExportStatus.QUEUED, tries=F("tries") - 1)


def export_finish(*, export: Export, **fields: object) -> bool:
    """End a held export; False when it is not held any more."""
    held = _held(export.pk, export.tries)
    return held.update(finished_at=timezone.now(), **fields) == 1


def exports_prune(*, now: datetime) -> None:
    """Remove the zips of exports that ended ``EXPORT_KEEP_DAYS`` ago. Raises ``Unavailable``."""
    limit = now - timedelta(days=settings.EXPORT_KEEP_DAYS)
    for export in list(Export.objects.filter(finished_at__lt=limit).exclude(key="")):
        storage.delete(export.key)
        Export.objects.filter(pk=export.pk).update(key="")


def export_download(*, export: Export) -> tuple[str, str]:
    """(storage key, file name) of a finished export; ``Conflict`` or ``NotReady`` otherwise."""
    if export.status == ExportStatus.FAILED:
        raise Conflict(f"The export failed: {export.message}")
    if export.status != ExportStatus.DONE:
        raise NotReady("The export is still being written; ask again in a moment.")
    if not export.key:
        raise Conflict(
            f"The export's file was removed after {settings.EXPORT_KEEP_DAYS} days; export again."
        )
    what = f"{export.source}-{BUNDLE}" if export.format == BUNDLE else export.format
    return export.key, f"{export.dataset.name}-{what}-{export.pk}.zip"

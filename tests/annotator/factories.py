"""Rows and files for tests, with as little said as possible."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tifffile
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from numpy.typing import NDArray

from annotator import storage
from annotator.models import (
    CellType,
    Dataset,
    Image,
    ModelVersion,
    PredictedCell,
    Prediction,
    Revision,
)
from annotator.services.annotations import RevisionDetails, revision_submit
from annotator.services.images import image_import
from inference.labels import cell_geometry

_count = itertools.count(1)


def is_stored(key: str) -> bool:
    """Whether an object lies under ``key``, asked past our own code."""
    return default_storage.exists(key)


def make_dataset(name: str = "", types: Sequence[str] = ("HEK", "N2a"), **fields: Any) -> Dataset:
    """A data set of two channels with the types HEK and N2a, and no members."""
    dataset = Dataset.objects.create(name=name or f"set-{next(_count)}", **fields)
    for index, type_name in enumerate(types):
        CellType.objects.create(dataset=dataset, name=type_name, index=index, color="#00aa00")
    return dataset


def pixels(shape: tuple[int, ...] = (2, 48, 64), seed: int | None = None) -> NDArray[np.uint16]:
    """Random 16-bit pixels; another image at each call unless seeded."""
    rng = np.random.default_rng(next(_count) if seed is None else seed)
    return rng.integers(0, 4000, shape, dtype=np.uint16)


def tiff_bytes(array: NDArray[Any], **options: Any) -> bytes:
    """``array`` as a TIFF file."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def make_image(
    dataset: Dataset | None = None,
    name: str = "",
    array: NDArray[Any] | None = None,
    **options: Any,
) -> Image:
    """An imported TIFF of 64×48 px; ``options`` of ``image_import`` (split, culture, …)."""
    dataset = dataset or make_dataset()
    if array is None:
        array = pixels((len(dataset.channels), 48, 64))
    found = image_import(
        dataset=dataset,
        name=name or f"image{next(_count)}.tif",
        content=tiff_bytes(array),
        uploaded_by=options.pop("uploaded_by", None),
        **options,
    )
    return found.image


def square_labels(
    count: int = 3, shape: tuple[int, int] = (48, 64), size: int = 8
) -> NDArray[np.uint16]:
    """``count`` squares of ``size`` px with the ids 1 … count, two px apart, in rows."""
    labels = np.zeros(shape, np.uint16)
    per_row = shape[1] // (size + 2)
    for number in range(count):
        y, x = (number // per_row) * (size + 2), (number % per_row) * (size + 2)
        labels[y : y + size, x : x + size] = number + 1
    return labels


def make_revision(
    image: Image,
    author: User | None = None,
    labels: NDArray[Any] | None = None,
    types: dict[int, str | None] | None = None,
    **details: Any,
) -> Revision:
    """The image's next revision; three squares unless told otherwise."""
    head = image.revisions.order_by("-number").first()
    return revision_submit(
        image=image,
        author=author,
        labels=square_labels(shape=(image.height, image.width)) if labels is None else labels,
        cell_types=types or {},
        base_number=head.number if head else 0,
        details=RevisionDetails(**details),
    )


def make_version(
    dataset: Dataset, family: str = "segmenter", stage: str = "current", **fields: Any
) -> ModelVersion:
    """A version's row; no weights lie behind its key."""
    number = dataset.versions.filter(family=family).count() + 1
    return ModelVersion.objects.create(
        dataset=dataset,
        family=family,
        number=number,
        stage=stage,
        key=f"models/{dataset.pk}/{family}-{number}",
        sha256="0" * 64,
        **fields,
    )


def make_prediction(
    image: Image,
    segmenter: ModelVersion | None = None,
    labels: NDArray[Any] | None = None,
    **fields: Any,
) -> Prediction:
    """A prediction whose label image is stored; its typed cells are the caller's to add."""
    if segmenter is None:
        segmenter = image.dataset.versions.filter(family="segmenter", stage="current").first()
    if labels is None:
        labels = square_labels(shape=(image.height, image.width))
    return Prediction.objects.create(
        image=image,
        segmenter=segmenter or make_version(image.dataset),
        labels_key=storage.labels_put(labels),
        cell_count=len(np.unique(labels)) - 1,
        **{"uncertainty": 0.5, "diameter": 8.0, "seconds": 0.1} | fields,
    )


def make_cells(
    prediction: Prediction, said: Mapping[int, Mapping[str, Any]] | None = None, **all_of_them: Any
) -> list[PredictedCell]:
    """Rows for all cells of a prediction's label image; ``said`` of some by label.

    ``type`` is a type's name.
    """
    geometry = cell_geometry(storage.labels_get(prediction.labels_key))
    types = {kind.name: kind for kind in prediction.image.dataset.types.all()}
    usual = {"score": 0.9, "uncertainty": 0.5, "seen_by": "both", "type": None} | all_of_them
    rows = []
    for row, label in enumerate(geometry.labels.tolist()):
        opinion = usual | dict((said or {}).get(label, {}))
        kind = types.get(str(opinion.pop("type")))
        rows.append(
            PredictedCell(
                prediction=prediction,
                label=label,
                type=kind,
                bbox=geometry.boxes[row].tolist(),
                area=int(geometry.areas[row]),
                centroid=geometry.centroids[row].tolist(),
                inner_x=int(geometry.inner[row, 0]),
                inner_y=int(geometry.inner[row, 1]),
                **opinion,
            )
        )
    PredictedCell.objects.bulk_create(rows)
    return list(prediction.cells.order_by("label"))

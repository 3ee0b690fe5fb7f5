"""Reads for asking about cells: what cells look like, and what those answered for looked like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.models import Dataset, PredictedCell, Prediction, Split
from annotator.selectors.answered import inner_of, is_answered
from annotator.selectors.cells import vectors_of
from annotator.selectors.composition import head_revisions
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import current_pair
from inference import embeddings

STYLE = 24  # numbers of an image's style beside its cells'
_HEADS = 60  # images answered for last that are looked at
_OF_IMAGE = 5000  # cells of one that are
MOST = 2000  # cells answered for that others are compared with
_COLUMNS = ("embedding", "prediction", "bbox", "area", "inner_x", "inner_y")

Row = dict[str, Any]


def looks_of(rows: Sequence[Row]) -> NDArray[np.float32]:
    """(n, d) of cells as ``values("embedding", "prediction")`` gives them: the cell's vector beside
    its image's style; NaN without a vector.
    """
    own = vectors_of([row["embedding"] for row in rows])
    styles = _styles({row["prediction"] for row in rows})
    nothing = np.zeros(STYLE, np.float32)
    beside = [styles.get(row["prediction"], nothing) for row in rows]
    return np.concatenate([own, np.array(beside, np.float32).reshape(len(rows), STYLE)], axis=1)


def _styles(predictions: Iterable[int]) -> dict[int, NDArray[np.float32]]:
    kept = Prediction.objects.filter(pk__in=list(predictions), style__isnull=False)
    found = {pk: embeddings.unpacked(raw) for pk, raw in kept.values_list("pk", "style")}
    return {
        pk: embeddings.projected(embeddings.unit(style[None]), STYLE)[0]
        for pk, style in found.items()
        if style is not None
    }


def answered_looks(dataset: Dataset) -> NDArray[np.float32]:
    """``looks_of`` up to ``MOST`` cells that the current models draw where people have answered, in
    the training images that were answered for last.
    """
    pair = current_pair(dataset)
    heads = head_revisions(dataset, Split.TRAIN).order_by("-id")
    regions = dict(heads.values_list("image", "complete_regions")[:_HEADS])
    if pair is None or not regions:
        return looks_of([])
    predictions = Prediction.objects.filter(of_pair(pair), image__in=list(regions))
    of_image = dict(predictions.values_list("image", "pk"))
    found: list[Row] = []
    for image, complete in regions.items():
        if image in of_image and len(found) < MOST:
            found += _known(of_image[image], complete)
    return looks_of(found[:MOST])


def _known(prediction: int, regions: Sequence[Sequence[int]] | None) -> list[Row]:
    """The cells of a prediction that somebody answered for; None: for all of them."""
    cells = PredictedCell.objects.filter(prediction=prediction).order_by("label")
    rows = list(cells.values(*_COLUMNS)[:_OF_IMAGE])
    if regions is None or not rows:
        return rows
    boxes = np.array([row["bbox"] for row in rows])
    inner = inner_of((row["inner_x"], row["inner_y"]) for row in rows)
    known = is_answered(boxes, np.array([row["area"] for row in rows]), inner, regions)
    return [row for row, answered in zip(rows, known.tolist(), strict=True) if answered]

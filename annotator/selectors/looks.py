"""Reads for asking about cells: what cells look like, and what those answered for looked like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.models import Dataset, PredictedCell, Prediction, Split
from annotator.selectors.cells import is_answered, vectors_of
from annotator.selectors.composition import head_revisions
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import current_pair
from inference import embeddings

STYLE = 24  # numbers of an image's style beside its cells'
_OWN = 2.0  # weight of what a cell itself looks like
_HEADS, _CELLS = 200, 4000  # images answered for last and their cells that are looked at
_COLUMNS = ("embedding", "prediction", "prediction__image", "bbox", "area")

Row = dict[str, Any]


def looks_of(rows: Sequence[Row]) -> NDArray[np.float32]:
    """(n, d) of cells as ``values("embedding", "prediction")`` gives them: the cell's vector beside
    its image's style; NaN without a vector.
    """
    own = vectors_of([row["embedding"] for row in rows])
    styles = _styles({row["prediction"] for row in rows})
    nothing = np.zeros(STYLE, np.float32)
    beside = [styles.get(row["prediction"], nothing) for row in rows]
    return np.concatenate([_OWN * own, np.array(beside).reshape(len(rows), STYLE)], axis=1)


def _styles(predictions: Iterable[int]) -> dict[int, NDArray[np.float32]]:
    kept = Prediction.objects.filter(pk__in=list(predictions), style__isnull=False)
    return {
        pk: embeddings.projected(embeddings.unit(embeddings.unpack(bytes(raw))[None]), STYLE)[0]
        for pk, raw in kept.values_list("pk", "style")
        if raw
    }


def answered_looks(dataset: Dataset) -> NDArray[np.float32]:
    """``looks_of`` cells that the current models draw where people have answered, in the training
    images that were answered for last.
    """
    pair = current_pair(dataset)
    heads = head_revisions(dataset, Split.TRAIN).order_by("-id")
    regions = dict(heads.values_list("image", "complete_regions")[:_HEADS])
    if pair is None or not regions:
        return looks_of([])
    predictions = Prediction.objects.filter(of_pair(pair), image__in=list(regions))
    cells = PredictedCell.objects.filter(prediction__in=predictions.values("pk"))
    found = cells.order_by("-prediction", "label").values(*_COLUMNS)[:_CELLS]
    return looks_of([row for row in found if _known(row, regions[row["prediction__image"]])])


def _known(row: Row, regions: Sequence[Sequence[int]] | None) -> bool:
    if regions is None:
        return True
    return bool(is_answered(np.array([row["bbox"]]), np.array([row["area"]]), regions)[0])

"""What the cultures are made of: counts and shares of cell types."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from annotator.models import (
    Cell,
    CellType,
    Dataset,
    Image,
    PredictedCell,
    Revision,
)
from annotator.selectors.answered import answered_cells
from annotator.selectors.predictions import newest_predictions
from training.metrics import wilson_interval

HEADS = "heads"
PREDICTIONS = "predictions"


def head_revisions(dataset: Dataset, split: str = "") -> QuerySet[Revision]:
    """The newest revision of each image that has one, by image."""
    newer = Revision.objects.filter(image=OuterRef("image"), number__gt=OuterRef("number"))
    found = Revision.objects.filter(~Exists(newer), image__dataset=dataset)
    if split:
        found = found.filter(image__split=split)
    return found.select_related("image", "image__culture_type").order_by("image_id")


def composition(
    dataset: Dataset, source: str = HEADS, split: str = "", culture: str = ""
) -> dict[str, Any]:
    """Cells per type over the images of ``source``, with Wilson 95 % intervals of the shares.

    ``culture``: only images of that type's single-type culture, or ``"mixed"``.

    Shares are of the typed cells, 0 when there is none. Keys as in the REST contract of
    ``composition/``.
    """
    counts = _counts_per_image(dataset, source, split, culture)
    types = list(CellType.objects.filter(dataset=dataset))
    totals: dict[int | None, int] = defaultdict(int)
    for per_type in counts.values():
        for type_id, cells in per_type.items():
            totals[type_id] += cells
    typed = sum(cells for type_id, cells in totals.items() if type_id is not None)
    images = Image.objects.in_bulk(counts.keys())
    return {
        "source": source,
        "images": len(counts),
        "cells": sum(totals.values()),
        "untyped": totals[None],
        "types": [_share(kind, totals[kind.pk], typed) for kind in types],
        "per_image": [_image_row(images[pk], counts[pk], types) for pk in sorted(counts)],
    }


def _counts_per_image(
    dataset: Dataset, source: str, split: str, culture: str
) -> dict[int, dict[int | None, int]]:
    """{image id: {type id or None: cells}}; images without a cell are there with none."""
    rows: Iterable[tuple[int, int | None, int]]
    ids: Iterable[int]
    among = {"image__culture": culture} if culture else {}
    if source == PREDICTIONS:
        predictions = newest_predictions(dataset, split).filter(**among)
        ids = predictions.values_list("image_id", flat=True)
        rows = (
            PredictedCell.objects.filter(prediction__in=predictions.values("pk"))
            .order_by()
            .values_list("prediction__image", "type")
            .annotate(cells=Count("pk"))
        )
    else:
        heads = head_revisions(dataset, split).filter(**among).exclude(complete_regions=[])
        whole = heads.filter(complete_regions__isnull=True)
        ids = heads.values_list("image_id", flat=True)
        rows = [
            *Cell.objects.filter(revision__in=whole.values("pk"))
            .order_by()
            .values_list("revision__image", "type")
            .annotate(cells=Count("pk")),
            *_answered_in_parts(heads.filter(complete_regions__isnull=False)),
        ]
    counts: dict[int, dict[int | None, int]] = {image: {} for image in ids}
    for image, type_id, cells in rows:
        if image in counts:  # else it was predicted or revised between the two queries
            counts[image][type_id] = cells
    return counts


def _answered_in_parts(heads: Iterable[Revision]) -> Iterator[tuple[int, int | None, int]]:
    """(image, type, cells) of the cells that people vouch for: the others are the models'."""
    for head in heads:
        types = Counter(answered_cells(head).values_list("type", flat=True))
        yield from ((head.image_id, kind, cells) for kind, cells in types.items())


def _share(kind: CellType, cells: int, typed: int) -> dict[str, Any]:
    low, high = wilson_interval(cells, typed) if typed else (0.0, 1.0)
    return {
        "name": kind.name,
        "color": kind.color,
        "cells": cells,
        "share": cells / typed if typed else 0.0,
        "low": low,
        "high": high,
    }


def _image_row(
    image: Image, counts: dict[int | None, int], types: list[CellType]
) -> dict[str, Any]:
    return {
        "image": image.pk,
        "name": image.name,
        "split": image.split,
        "culture": image.culture,
        "cells": sum(counts.values()),
        "untyped": counts.get(None, 0),
        "types": {kind.name: counts.get(kind.pk, 0) for kind in types},
    }

"""Reads for what to ask: how long answers take, and what of an image is done."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet

from annotator.models import Dataset, Revision
from inference.effort import Effort, fit_effort

_LATEST = 200  # answers that tell how long the next takes


def effort_of(dataset: Dataset) -> Effort:
    """How long answers take in ``dataset``, from the times of its latest ones."""
    timed = Revision.objects.filter(
        image__dataset=dataset, seconds_spent__gt=0, complete_regions__isnull=True
    ).order_by("-id")
    rows = timed.values_list("cell_count", "corrected_cells", "seconds_spent")[:_LATEST]
    return fit_effort([(cells, changed, seconds or 0.0) for cells, changed, seconds in rows])


def heads(image_ids: Iterable[int]) -> QuerySet[Revision]:
    """The head revisions of these images."""
    newer = Revision.objects.filter(image=OuterRef("image"), number__gt=OuterRef("number"))
    return Revision.objects.filter(~Exists(newer), image__in=list(image_ids))


def complete_regions(image_ids: Iterable[int]) -> dict[int, list[list[int]]]:
    """The regions that are complete, by image; of images whose head is complete in parts."""
    partial = heads(image_ids).filter(complete_regions__isnull=False)
    rows = partial.values_list("image", "complete_regions")
    return {image: regions or [] for image, regions in rows}

"""Reads for what to ask: how long answers take, and what of an image is done."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet

from annotator.models import GALLERY, Cell, Dataset, Revision
from annotator.selectors.annotations import boxes_of, shows
from inference.effort import Effort, fit_effort

_LATEST = 200  # answers that tell how long the next takes
_LATEST_PARTIAL = 40  # regions that do: their cells must be read


def effort_of(dataset: Dataset) -> Effort:
    """How long answers take in ``dataset``, from the times of its latest ones."""
    timed = Revision.objects.filter(image__dataset=dataset, seconds_spent__gt=0).order_by("-id")
    whole = timed.filter(complete_regions__isnull=True)
    rows = whole.values_list("cell_count", "corrected_cells", "seconds_spent")[:_LATEST]
    answers = [(cells, changed, seconds or 0.0) for cells, changed, seconds in rows]
    return fit_effort(answers + _of_regions(timed))


def _of_regions(timed: QuerySet[Revision]) -> list[tuple[int, int, float]]:
    """(cells, changed, seconds) of work on regions: of the cells that were not complete before."""
    partial = timed.filter(complete_regions__isnull=False).exclude(complete_regions=[])
    columns = ("complete_regions", "parent__complete_regions", "corrected_cells", "seconds_spent")
    # Who answers for single cells opens no image and draws nothing.
    drawn = partial.exclude(source=GALLERY).values_list("pk", *columns)
    rows = {pk: told for pk, *told in drawn[:_LATEST_PARTIAL]}
    found = []
    for pk, boxes, _ in boxes_of(Cell.objects.filter(revision__in=list(rows))):
        regions, before, changed, seconds = rows[pk]
        fresh = shows(regions, boxes) & ~shows(before or [], boxes)
        found.append((int(fresh.sum()), changed, seconds))
    return found


def heads(image_ids: Iterable[int]) -> QuerySet[Revision]:
    """The head revisions of these images."""
    newer = Revision.objects.filter(image=OuterRef("image"), number__gt=OuterRef("number"))
    return Revision.objects.filter(~Exists(newer), image__in=list(image_ids))


def complete_regions(image_ids: Iterable[int]) -> dict[int, list[list[int]]]:
    """The regions that are complete, by image; of images whose head is complete in parts."""
    partial = heads(image_ids).filter(complete_regions__isnull=False)
    rows = partial.values_list("image", "complete_regions")
    return {image: regions or [] for image, regions in rows}


def drawn_in(image_ids: Iterable[int]) -> set[int]:
    """Those of these images that somebody has had in the editor, not in a list of cells alone."""
    drawn = Revision.objects.filter(image__in=list(image_ids)).exclude(source=GALLERY)
    return set(drawn.order_by().values_list("image", flat=True))

"""How much people had corrected for training at some moment: cells, images, minutes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

from django.core.cache import cache

from annotator.models import Dataset, Revision, Snapshot, Split
from annotator.selectors.annotations import cells_shown
from annotator.selectors.runs import telling_revisions

Entry = dict[str, Any]


class Annotated(NamedTuple):
    """Training cells in complete regions of people's revisions, and the images they are in."""

    cells: int
    images: int


@dataclass(frozen=True)
class Spent:
    """Work on training images up to a moment; ``minutes`` are None when no revision tells any."""

    minutes: float | None
    revisions: int
    untimed: int  # revisions without a time: imported, or sent by a program


class Times:
    """When training images were revised, and the time it took."""

    def __init__(self, dataset: Dataset) -> None:
        rows = list(
            Revision.objects.filter(image__dataset=dataset, image__split=Split.TRAIN)
            .exclude(is_work=False, seconds_spent=None)  # the time of what was undone was spent
            .order_by("created_at")
            .values_list("created_at", "seconds_spent")
        )
        self._at = [at for at, _ in rows]
        self._seconds = [0.0, *accumulate(seconds or 0.0 for _, seconds in rows)]
        self._untimed = [0, *accumulate(seconds is None for _, seconds in rows)]

    def until(self, moment: datetime | None = None) -> Spent:
        """What was put in by ``moment``, or by now."""
        count = len(self._at) if moment is None else bisect_right(self._at, moment)
        untimed = self._untimed[count]
        minutes = None if untimed == count else self._seconds[count] / 60
        return Spent(minutes, count, untimed)


def annotated_now(dataset: Dataset) -> Annotated:
    """What people have corrected so far."""
    rows = list(
        telling_revisions(dataset, Split.TRAIN)
        .order_by()
        .values_list("pk", "cell_count", "complete_regions")
    )
    partial = {pk: regions for pk, _, regions in rows if regions is not None}
    shown = cells_shown(partial)
    cells = sum(shown[pk] if pk in partial else count for pk, count, _ in rows)
    return Annotated(cells, len(rows))


def annotated_in(dataset: Dataset, snapshots: Iterable[Snapshot]) -> dict[int, Annotated]:
    """What people had corrected of each snapshot, by its id; predicted labels do not count.

    Reading the entries of many snapshots takes long and what is in them never changes, so it is
    remembered.
    """
    key = f"annotated-in-{dataset.pk}"
    known: dict[int, tuple[str, Annotated]] = cache.get(key, {})
    wanted = {snapshot.pk: snapshot.hash for snapshot in snapshots}
    fresh = [pk for pk, digest in wanted.items() if known.get(pk, ("",))[0] != digest]
    if fresh:
        counted = _counted(fresh)
        known |= {pk: (wanted[pk], found) for pk, found in counted.items()}
        cache.set(key, known, timeout=None)
    return {pk: known[pk][1] for pk in wanted if pk in known}


def _counted(snapshots: list[int]) -> dict[int, Annotated]:
    taught = {
        pk: [entry for entry in entries if entry["split"] == Split.TRAIN and "revision" in entry]
        for pk, entries in Snapshot.objects.filter(pk__in=snapshots).values_list("pk", "entries")
    }
    partial = {
        entry["revision"]: entry["complete_regions"]
        for entries in taught.values()
        for entry in entries
        if entry["complete_regions"] is not None
    }
    shown = cells_shown(partial)

    def cells(entry: Entry) -> int:
        revision: int = entry["revision"]
        return shown[revision] if revision in partial else int(entry["cells"])

    return {
        pk: Annotated(sum(cells(entry) for entry in entries), len(entries))
        for pk, entries in taught.items()
    }

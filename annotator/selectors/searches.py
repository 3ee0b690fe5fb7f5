"""Reads over searches: which need a worker, and what a page shows of them."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Prefetch, QuerySet

from annotator.models import (
    Dataset,
    Family,
    Search,
    SearchStatus,
    SearchTrial,
    Split,
    TrialState,
)
from annotator.selectors.runs import is_silent, telling_revisions


def live_searches() -> QuerySet[Search]:
    """Searches that are not over."""
    return Search.objects.exclude(status__in=SearchStatus.over())


def waiting_trials(now: datetime) -> QuerySet[SearchTrial]:
    """Trials of live searches that no worker holds: never taken, or their worker died."""
    live = SearchTrial.objects.filter(state__in=TrialState.live(), search__in=live_searches())
    return live.filter(is_silent(now)).order_by("number")


def waiting_searches(now: datetime) -> QuerySet[Search]:
    """Live searches with a trial for a worker, or with all trials over and only to be ended."""
    mine = SearchTrial.objects.filter(search=OuterRef("pk"), state__in=TrialState.live())
    return live_searches().filter(Exists(mine.filter(is_silent(now))) | ~Exists(mine))


def can_validate(dataset: Dataset, family: str) -> bool:
    """Whether a training would find images to judge its epochs on.

    Without corrected validation images it holds a group of training images back, if it has two.
    A detector has images that nobody has corrected, too: for it, its first epoch tells.
    """
    if family == Family.DETECTOR or telling_revisions(dataset, Split.VALIDATION).exists():
        return True
    groups = telling_revisions(dataset, Split.TRAIN).values_list("image__group", "image_id")
    return len({group or image for group, image in groups}) > 1


def curves() -> Prefetch:
    """A search's trials with their curves, without the progress at every single step."""
    return Prefetch("trials", SearchTrial.objects.defer("schedules"))


def searches_of(*datasets: Dataset | int) -> QuerySet[Search]:
    """All searches of these data sets, newest first, with what a page shows of them."""
    return (
        Search.objects.filter(dataset__in=datasets)
        .select_related("requested_by", "base", "best", "run__candidate", "dataset")
        .prefetch_related(Prefetch("trials", SearchTrial.objects.defer("epochs", "schedules")))
    )

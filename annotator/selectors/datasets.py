"""Reads over data sets: who sees which, and how far each has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Avg, Count, Exists, Max, Min, OuterRef, Prefetch, Q, QuerySet, Sum
from django.utils import timezone

from annotator.models import (
    Dataset,
    Image,
    Membership,
    ModelVersion,
    Prediction,
    QueueItem,
    Revision,
    Split,
    Stage,
)
from annotator.selectors.images import ANNOTATED, IN_PARTS, known

Counts = dict[str, int | float]
NAMES = (
    "images",
    *Split.values,
    "predicted",
    "pending",
    "annotated",
    "in_parts",
    "leased",
    "queued",
    "corrected_cells",
)
RATE = "images_per_minute"
_LATELY = timedelta(minutes=5)  # over which the rate of predictions is taken
_LONG = timedelta(hours=6)  # no image takes longer
_IDLE = timedelta(minutes=1)  # without a prediction nobody predicts now, …
_PATIENCE = 3  # … unless this many images would usually take longer


def datasets_of(user: User | AnonymousUser) -> QuerySet[Dataset]:
    """The data sets that ``user`` may see, with types, usable versions and own membership."""
    found = Dataset.objects.all()
    number = user.pk or 0  # nobody's, when signed out
    if not user.is_superuser:
        found = found.filter(memberships__user_id=number)
    return found.prefetch_related(
        "types",
        Prefetch(
            "versions",
            ModelVersion.objects.filter(
                Q(stage=Stage.CURRENT) | Q(stage=Stage.CANDIDATE, passed_gate=True)
            ).defer("meta"),
            to_attr="usable_versions",
        ),
        Prefetch(
            "memberships", Membership.objects.filter(user_id=number), to_attr="own_memberships"
        ),
    )


def dataset_counts(dataset_ids: Iterable[int]) -> dict[int, Counts]:
    """How far each data set has come, in four queries for any number of them.

    ``predicted`` images have a prediction of the current pair, ``pending`` ones have not;
    ``queued`` items are open and free, ``leased`` ones are open and held. ``images_per_minute`` is
    how fast images are predicted now, 0 when they are not.
    """
    ids = list(dataset_ids)
    counts: dict[int, Counts] = {number: dict.fromkeys([*NAMES, RATE], 0) for number in ids}
    for images in _image_counts(ids):
        counts[images.pop("dataset")] |= images
    held = Q(leased_until__gt=timezone.now())
    items = (
        QueueItem.objects.filter(image__dataset__in=ids, closed_at__isnull=True)
        .values("image__dataset")
        .annotate(held=Count("id", filter=held), free=Count("id", filter=~held))
        .values_list("image__dataset", "held", "free")
    )
    for number, leased, queued in items:
        counts[number] |= {"leased": leased, "queued": queued}
    corrected = (
        Revision.objects.filter(image__dataset__in=ids, is_work=True)
        .values("image__dataset")
        .annotate(total=Sum("corrected_cells"))
        .values_list("image__dataset", "total")
    )
    for number, total in corrected:
        counts[number]["corrected_cells"] = total
    for number, rate in _rates(ids):
        counts[number][RATE] = rate
    for mine in counts.values():
        mine["pending"] = mine["images"] - mine["predicted"]
    return counts


def _rates(ids: list[int]) -> Iterator[tuple[int, float]]:
    """(data set, predictions a minute) where images are being predicted."""
    now = timezone.now()
    lately = Q(created_at__gt=now - _LATELY)
    rows = (
        Prediction.objects.filter(image__dataset__in=ids, created_at__gt=now - _LONG)
        .values("image__dataset")
        .annotate(
            late=Count("id", filter=lately),
            first=Min("created_at", filter=lately),
            last=Max("created_at"),
            seconds=Avg("seconds"),
        )
        .values_list("image__dataset", "late", "first", "last", "seconds")
    )
    for number, late, first, last, seconds in rows:
        if late > 1 and last > first:
            each = (last - first) / (late - 1)
        else:  # few and large ones: how long they took is all that is known
            each = timedelta(seconds=seconds)
        if each and now - last < max(_IDLE, _PATIENCE * each):
            yield number, timedelta(minutes=1) / each


def _image_counts(ids: list[int]) -> Iterable[Any]:
    by_split = {split: Count("id", filter=Q(split=split)) for split in Split.values}
    return (
        Image.objects.filter(dataset__in=ids)
        .annotate(is_predicted=_by_current_pair(), known=known())
        .values("dataset")
        .annotate(
            images=Count("id"),
            predicted=Count("id", filter=Q(is_predicted=True)),
            annotated=Count("id", filter=Q(known=ANNOTATED)),
            in_parts=Count("id", filter=Q(known=IN_PARTS)),
            **by_split,
        )
    )


def _by_current_pair() -> Exists:
    """Whether the image has a prediction of its data set's current segmenter and detector."""
    detector = ModelVersion.objects.filter(
        dataset=OuterRef("image__dataset"), family="detector", stage=Stage.CURRENT
    )
    return Exists(
        Prediction.objects.filter(
            Q(detector__stage=Stage.CURRENT) | Q(~Exists(detector), detector__isnull=True),
            image=OuterRef("pk"),
            segmenter__stage=Stage.CURRENT,
        )
    )

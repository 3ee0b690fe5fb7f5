"""Reads over data sets: who sees which, and how far each has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Exists, Max, Min, OuterRef, Prefetch, Q, QuerySet, Sum
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

Counts = dict[str, int]
NAMES = (
    "images",
    *Split.values,
    "predicted",
    "pending",
    "annotated",
    "leased",
    "queued",
    "corrected_cells",
    "images_per_minute",
)
_LATELY = timedelta(minutes=5)  # over which the rate of predictions is taken
_IDLE = timedelta(minutes=1)  # without a prediction: nobody predicts now


def datasets_of(user: User | AnonymousUser) -> QuerySet[Dataset]:
    """The data sets that ``user`` may see, with types, current versions and own membership."""
    found = Dataset.objects.all()
    number = user.pk or 0  # nobody's, when signed out
    if not user.is_superuser:
        found = found.filter(memberships__user_id=number)
    return found.prefetch_related(
        "types",
        Prefetch(
            "versions",
            ModelVersion.objects.filter(stage=Stage.CURRENT).defer("meta"),
            to_attr="current_versions",
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
    counts = {number: dict.fromkeys(NAMES, 0) for number in ids}
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
        Revision.objects.filter(image__dataset__in=ids)
        .values("image__dataset")
        .annotate(total=Sum("corrected_cells"))
        .values_list("image__dataset", "total")
    )
    for number, total in corrected:
        counts[number]["corrected_cells"] = total
    for number, rate in _rates(ids):
        counts[number]["images_per_minute"] = rate
    for mine in counts.values():
        mine["pending"] = mine["images"] - mine["predicted"]
    return counts


def _rates(ids: list[int]) -> Iterator[tuple[int, int]]:
    """(data set, predictions a minute of late, at least 1) where images are being predicted."""
    now = timezone.now()
    rows = (
        Prediction.objects.filter(image__dataset__in=ids, created_at__gt=now - _LATELY)
        .values("image__dataset")
        .annotate(count=Count("id"), first=Min("created_at"), last=Max("created_at"))
        .values_list("image__dataset", "count", "first", "last")
    )
    for number, count, first, last in rows:
        if count > 1 and last > first and now - last < _IDLE:
            yield number, max(1, round((count - 1) / ((last - first) / timedelta(minutes=1))))


def _image_counts(ids: list[int]) -> Iterable[Any]:
    revised = Exists(Revision.objects.filter(image=OuterRef("pk")))
    by_split = {split: Count("id", filter=Q(split=split)) for split in Split.values}
    return (
        Image.objects.filter(dataset__in=ids)
        .annotate(is_predicted=_by_current_pair(), is_revised=revised)
        .values("dataset")
        .annotate(
            images=Count("id"),
            predicted=Count("id", filter=Q(is_predicted=True)),
            annotated=Count("id", filter=Q(is_revised=True)),
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

"""Reads over the queue: open, free and leased items, and what should be in it."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from annotator.models import (
    Dataset,
    Image,
    Outcome,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Revision,
    Split,
)
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import Pair


def is_free(now: datetime) -> Q:
    """The condition that nobody holds an item."""
    return Q(leased_until__isnull=True) | Q(leased_until__lte=now)


def open_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Items waiting for or held by an annotator, best first."""
    return (
        QueueItem.objects.filter(image__dataset=dataset, closed_at__isnull=True)
        .select_related("image", "annotator")
        .order_by("-score", "id")
    )


def free_items(dataset: Dataset, now: datetime) -> QuerySet[QueueItem]:
    """Open items that nobody holds, best first."""
    return open_items(dataset).filter(is_free(now))


def is_measuring() -> Q:
    """The condition that an item's image measures models instead of teaching them."""
    return ~Q(image__split=Split.TRAIN)


def lease_of(dataset: Dataset, annotator: User, now: datetime) -> QueueItem | None:
    """The item that ``annotator`` holds in ``dataset`` now."""
    return (
        open_items(dataset)
        .filter(annotator=annotator, leased_until__gt=now)
        .order_by("leased_until")
        .first()
    )


def _open_item() -> Q:
    return Q(Exists(QueueItem.objects.filter(image=OuterRef("pk"), closed_at__isnull=True)))


def _unrevised(dataset: Dataset) -> QuerySet[Image]:
    return Image.objects.filter(
        ~Exists(Revision.objects.filter(image=OuterRef("pk"))), dataset=dataset
    )


def _skipped() -> Q:
    return Q(Exists(QueueItem.objects.filter(image=OuterRef("pk"), outcome=Outcome.SKIPPED)))


def images_without_model(dataset: Dataset) -> QuerySet[Image]:
    """Images that may enter the queue before any model has seen them."""
    return _unrevised(dataset).filter(~_open_item(), ~_skipped())


def images_that_failed(dataset: Dataset, pair: Pair) -> QuerySet[Image]:
    """Images to annotate by hand from nothing, because ``pair`` cannot predict them."""
    failed = PredictionAttempt.objects.filter(of_pair(pair), image=OuterRef("pk")).exclude(
        message=""
    )
    return images_without_model(dataset).filter(Exists(failed))


def new_predictions(dataset: Dataset, pair: Pair) -> QuerySet[Prediction]:
    """Predictions of ``pair`` that no open item shows yet, of images to be corrected.

    A skipped image comes back only with a prediction made after it was skipped.
    """
    of_image = QueueItem.objects.filter(image=OuterRef("image"))
    shown = of_image.filter(closed_at__isnull=True, prediction=OuterRef("pk"))
    skipped = of_image.filter(outcome=Outcome.SKIPPED, closed_at__gte=OuterRef("created_at"))
    revised = Revision.objects.filter(image=OuterRef("image"))
    return (
        Prediction.objects.filter(
            of_pair(pair),
            ~Exists(shown),
            ~Exists(skipped),
            ~Exists(revised),
            image__dataset=dataset,
        )
        .select_related("image")
        .order_by("id")
    )


def moot_items(dataset: Dataset, now: datetime) -> QuerySet[QueueItem]:
    """Open items that nobody holds and whose image has got a revision since."""
    revised = Revision.objects.filter(image=OuterRef("image"))
    return free_items(dataset, now).filter(Exists(revised))

"""Reads over the queue: open, free and leased items, and what should be in it."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotator.models import (
    GALLERY,
    Asking,
    Dataset,
    Image,
    Kind,
    Outcome,
    Prediction,
    PredictionAttempt,
    QueueItem,
    Revision,
    Split,
)
from annotator.selectors.predictions import of_pair
from annotator.selectors.versions import Pair

NOTHING_LEFT = "nothing is left to ask"  # the note of an item that was closed because of that


def is_free(now: datetime) -> Q:
    """The condition that nobody holds an item."""
    return Q(leased_until__isnull=True) | Q(leased_until__lte=now)


def open_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Items waiting for or held by an annotator, best first; without what measures annotators."""
    return (
        QueueItem.objects.filter(image__dataset=dataset, closed_at__isnull=True, kind=Kind.ASK)
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
    """The item that ``annotator`` holds in ``dataset`` now, of any kind."""
    return (
        QueueItem.objects.filter(
            image__dataset=dataset,
            closed_at__isnull=True,
            annotator=annotator,
            leased_until__gt=now,
        )
        .select_related("image", "annotator")
        .order_by("leased_until")
        .first()
    )


def _open_item() -> Q:
    return Q(
        Exists(
            QueueItem.objects.filter(image=OuterRef("pk"), closed_at__isnull=True, kind=Kind.ASK)
        )
    )


def _answered(dataset: Dataset, image: str) -> Exists:
    """The condition that nothing is left to ask of the image that ``image`` names.

    Where regions are asked, a head that is complete in parts only leaves the rest. Who answers for
    some cells of a list has not looked at the image.
    """
    revisions = Revision.objects.filter(image=OuterRef(image)).exclude(
        source=GALLERY, complete_regions__isnull=False
    )
    if dataset.asking == Asking.REGION:
        newer = Revision.objects.filter(image=OuterRef("image"), number__gt=OuterRef("number"))
        revisions = revisions.filter(~Exists(newer), complete_regions__isnull=True)
    return Exists(revisions)


def is_answered(dataset: Dataset) -> Q:
    """The condition that nothing is left to ask of an item's image."""
    return Q(_answered(dataset, "image"))


def _unrevised(dataset: Dataset) -> QuerySet[Image]:
    return Image.objects.filter(~_answered(dataset, "pk"), dataset=dataset)


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
    of_image = QueueItem.objects.filter(image=OuterRef("image"), kind=Kind.ASK)
    shown = of_image.filter(closed_at__isnull=True, prediction=OuterRef("pk"))
    skipped = of_image.filter(outcome=Outcome.SKIPPED, closed_at__gte=OuterRef("created_at"))
    found = Prediction.objects.filter(of_pair(pair), ~Exists(shown), ~Exists(skipped))
    if dataset.asking == Asking.REGION:
        found = found.filter(~Exists(_used_up()))
    found = found.filter(~_answered(dataset, "image"), image__dataset=dataset)
    return found.select_related("image").order_by("id")


def _used_up() -> QuerySet[QueueItem]:
    """What says that nothing was left to ask of an image, which nobody revised since."""
    since = Revision.objects.filter(image=OuterRef("image"), created_at__gt=OuterRef("closed_at"))
    return QueueItem.objects.filter(
        ~Exists(since),
        kind=Kind.ASK,
        outcome=Outcome.STALE,
        note=NOTHING_LEFT,
        prediction=OuterRef("pk"),
    )


def shown_predictions(dataset: Dataset, pair: Pair, now: datetime) -> QuerySet[Prediction]:
    """Predictions of ``pair`` that a free item of a training image shows."""
    shown = free_items(dataset, now).filter(image__split=Split.TRAIN, prediction=OuterRef("pk"))
    return (
        Prediction.objects.filter(of_pair(pair), Exists(shown.order_by()), image__dataset=dataset)
        .select_related("image")
        .order_by("id")
    )


def moot_items(dataset: Dataset, now: datetime) -> QuerySet[QueueItem]:
    """Open items that nobody holds and whose image has got a revision since."""
    since = Revision.objects.filter(image=OuterRef("image"), created_at__gt=OuterRef("created_at"))
    return free_items(dataset, now).filter(_answered(dataset, "image") | Exists(since))


def abandoned_checks(dataset: Dataset, now: datetime) -> QuerySet[QueueItem]:
    """What measures an annotator who has let the lease run out: it is asked of nobody else."""
    checks = QueueItem.objects.filter(image__dataset=dataset, closed_at__isnull=True)
    return checks.exclude(kind=Kind.ASK).filter(is_free(now))


def held_check(image: Image, user: User) -> QueueItem | None:
    """The item by which ``user`` is measured on ``image`` now: its revisions are hidden then."""
    return (
        QueueItem.objects.filter(
            image=image, annotator=user, closed_at__isnull=True, leased_until__gt=timezone.now()
        )
        .exclude(kind=Kind.ASK)
        .first()
    )

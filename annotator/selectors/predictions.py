"""Reads over predictions: what is pending, what an image's newest prediction says."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When

from annotator.models import (
    Dataset,
    Image,
    Prediction,
    PredictionAttempt,
    Revision,
    Split,
)
from annotator.selectors.versions import Pair


def of_pair(pair: Pair) -> Q:
    """The condition that a prediction (or failure) is this pair's."""
    if pair.detector is None:
        return Q(segmenter=pair.segmenter, detector__isnull=True)
    return Q(segmenter=pair.segmenter, detector=pair.detector)


def pending_images(dataset: Dataset, pair: Pair, now: datetime) -> QuerySet[Image]:
    """Images that ``pair`` has to predict, those that annotators wait for first.

    Left out until their ``retry_after``: images that failed or that another worker has.
    """
    done = Prediction.objects.filter(of_pair(pair), image=OuterRef("pk"))
    attempted = PredictionAttempt.objects.filter(
        of_pair(pair), image=OuterRef("pk"), retry_after__gt=now
    )
    revised = Revision.objects.filter(image=OuterRef("pk"))
    return (
        Image.objects.filter(~Exists(done), ~Exists(attempted), dataset=dataset)
        .annotate(
            wanted=Case(
                When(Exists(revised), then=Value(2)),
                When(split=Split.TRAIN, then=Value(0)),
                default=Value(1),
                output_field=IntegerField(),
            )
        )
        .order_by("wanted", "id")
    )


def newest_prediction(image: Image) -> Prediction | None:
    """The image's newest prediction, whichever pair made it."""
    return (
        Prediction.objects.filter(image=image)
        .select_related("segmenter", "detector")
        .order_by("-id")
        .first()
    )


def newest_predictions(dataset: Dataset, split: str = "") -> QuerySet[Prediction]:
    """Each image's newest prediction, by image."""
    newer = Prediction.objects.filter(image=OuterRef("image"), id__gt=OuterRef("id"))
    found = Prediction.objects.filter(~Exists(newer), image__dataset=dataset)
    if split:
        found = found.filter(image__split=split)
    return found.select_related("image", "segmenter", "detector").order_by("image_id")


def unpredicted_single_type_images(dataset: Dataset) -> QuerySet[Image]:
    """Single-type training images that wait for their first prediction."""
    failed = PredictionAttempt.objects.filter(image=OuterRef("pk")).exclude(message="")
    return Image.objects.filter(
        ~Exists(failed),
        ~Exists(Prediction.objects.filter(image=OuterRef("pk"))),
        ~Exists(Revision.objects.filter(image=OuterRef("pk"))),
        dataset=dataset,
        split=Split.TRAIN,
        culture_type__isnull=False,
    )

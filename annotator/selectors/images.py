"""Reads over images: the list with each image's state, and one image's."""

from __future__ import annotations

from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from annotator.models import Dataset, Image, Prediction, QueueItem, Revision

ANNOTATED, IN_PARTS = "annotated", "in_parts"
STATUSES = ("new", "predicted", "leased", IN_PARTS, ANNOTATED)


def with_state(images: QuerySet[Image]) -> QuerySet[Image]:
    """Annotate ``revision`` (head's number or 0), ``cells``, ``uncertainty`` and ``status``.

    Cells are the head revision's, else the newest prediction's; uncertainty is the newest
    prediction's. An image that somebody holds is leased, whatever else it is; one is annotated when
    it is complete as a whole.
    """
    heads = Revision.objects.filter(image=OuterRef("pk")).order_by("-number")
    newest = Prediction.objects.filter(image=OuterRef("pk")).order_by("-id")
    held = QueueItem.objects.filter(
        image=OuterRef("pk"), closed_at__isnull=True, leased_until__gt=timezone.now()
    )
    return images.annotate(
        known=known(),
        revision=Coalesce(Subquery(heads.values("number")[:1]), 0, output_field=IntegerField()),
        uncertainty=Subquery(newest.values("uncertainty")[:1]),
        cells=Coalesce(
            Subquery(heads.values("cell_count")[:1]), Subquery(newest.values("cell_count")[:1])
        ),
        status=Case(
            When(Exists(held), then=Value("leased")),
            When(known__isnull=False, then=F("known")),
            When(Exists(newest), then=Value("predicted")),
            default=Value("new"),
            output_field=CharField(),
        ),
    )


def known() -> Subquery:
    """``ANNOTATED`` or ``IN_PARTS``, by an image's head revision; null without one, and where it
    calls nothing complete, say because all that people said was taken back.
    """
    heads = Revision.objects.filter(image=OuterRef("pk")).order_by("-number")
    said = Case(
        When(complete_regions__isnull=True, then=Value(ANNOTATED)),
        When(complete_regions=[], then=Value(None)),
        default=Value(IN_PARTS),
        output_field=CharField(null=True),
    )
    return Subquery(heads.values_list(said)[:1])


def images_of(
    dataset: Dataset, split: str = "", status: str = "", search: str = ""
) -> QuerySet[Image]:
    """Images of a data set with their state, filtered by split, status and part of the name."""
    found = Image.objects.filter(dataset=dataset)
    if split:
        found = found.filter(split=split)
    if search:
        found = found.filter(name__icontains=search)
    found = with_state(found)
    return found.filter(Q(status=status)) if status else found


def image_with_state(image_id: int) -> Image:
    """One image with its state and data set. Raises Image.DoesNotExist."""
    return with_state(Image.objects.select_related("dataset")).get(pk=image_id)


def hide_revisions(image: Image) -> Image:
    """``image`` as it would be told (``with_state``) had nobody annotated it."""
    newest = Prediction.objects.filter(image=image).order_by("-id")
    image.revision = 0  # type: ignore[attr-defined]  # annotated by with_state
    image.cells = newest.values_list("cell_count", flat=True).first()  # type: ignore[attr-defined]
    return image


def neighbours_of(image: Image) -> tuple[int | None, int | None]:
    """The ids of the images before and after one in its data set, in order of upload."""
    ids = Image.objects.filter(dataset=image.dataset_id).values_list("pk", flat=True)
    previous = ids.filter(pk__lt=image.pk).order_by("-pk").first()
    return previous, ids.filter(pk__gt=image.pk).order_by("pk").first()

"""The queue over REST: lease, hold, release, skip, submit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, require, user_of
from annotator.api.annotations import (
    IF_MATCH,
    PREFER,
    DocumentInput,
    Submission,
    WrittenOutput,
    base_number,
    etag,
    submission_of,
    written_response,
)
from annotator.api.cell_rows import told_cells
from annotator.api.images import ImageOutput
from annotator.api.parsers import StrictJSONParser
from annotator.api.predictions import ReasonOutput, heat_path
from annotator.api.uploads import LimitedUploads
from annotator.exceptions import BadInput, NotHere, StaleRevision
from annotator.models import Draft, Image, Kind, Outcome, QueueItem, Revision, Role
from annotator.selectors.images import hide_revisions, with_state
from annotator.services.annotations import RevisionDetails, checked_types, revision_submit
from annotator.services.checks import check_submit
from annotator.services.queue import (
    queue_heartbeat,
    queue_next,
    queue_release,
    queue_skip,
)
from annotator.services.queue_taking import queue_take


class QueueItemOutput(serializers.Serializer[QueueItem]):
    """An image to correct, and why. Annotator and lease are null while nobody holds it."""

    id = serializers.IntegerField()
    image = ImageOutput()
    score = serializers.FloatField()
    reasons = ReasonOutput(many=True)
    region = serializers.ListField(
        child=serializers.IntegerField(),
        allow_null=True,
        help_text="what is asked about, [x0, y0, x1, y1] px, half-open; null: the whole image",
    )
    minutes = serializers.FloatField(
        allow_null=True, help_text="that the work is expected to take; null: nobody knows"
    )
    heat = serializers.CharField(
        allow_null=True, help_text="address of the heat picture; null without a prediction"
    )
    annotator = serializers.CharField(allow_null=True)
    leased_until = serializers.DateTimeField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)
    etag = serializers.CharField(help_text="send it as If-Match when submitting")
    draft = serializers.BooleanField(
        help_text="who holds it has unsubmitted work on it, on the server"
    )


class SkipInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


def item_bodies(items: Sequence[QueueItem]) -> list[dict[str, Any]]:
    """The JSON of queue items, their images and drafts read in one query each."""
    images = with_state(Image.objects.all()).in_bulk([item.image_id for item in items])
    drafted = set(Draft.objects.filter(image__in=images).values_list("image", "author"))
    return [
        _body(item, images[item.image_id], (item.image_id, item.annotator_id) in drafted)
        for item in items
        if item.image_id in images
    ]


def _body(item: QueueItem, image: Image, drafted: bool) -> dict[str, Any]:
    if item.kind != Kind.ASK:
        hide_revisions(image)
    left = None
    if item.closed_at is None and item.leased_until is not None:
        left = (item.leased_until - timezone.now()).total_seconds()
    held = left is not None and left > 0 and item.annotator is not None
    return {
        "id": item.pk,
        "image": ImageOutput(image).data,
        "score": item.score,
        "reasons": item.reasons,
        "region": item.region,
        "minutes": item.minutes,
        "heat": heat_path(item.image_id, item.prediction_id),
        "annotator": item.annotator.get_username() if held and item.annotator else None,
        "leased_until": item.leased_until if held else None,
        "seconds_left": left if held else None,
        "draft": held and drafted,
        "etag": etag(image.revision),  # type: ignore[attr-defined]  # annotated by with_state
    }


def item_for(request: Request, pk: int) -> QueueItem:
    """The item, if the caller may annotate in its data set (NotHere, NotAllowed)."""
    absent = f"There is no queue item {pk}."
    item = QueueItem.objects.select_related("image__dataset", "annotator").filter(pk=pk).first()
    if item is None:
        raise NotHere(absent)
    require(request.user, item.image.dataset_id, Role.ANNOTATOR, absent)
    return item


def _answer(item: QueueItem) -> Response:
    item.refresh_from_db()
    return Response(item_bodies([item])[0])


class QueueNext(APIView):
    """Asking for work."""

    @extend_schema(request=None, responses={200: QueueItemOutput, 204: None})
    def post(self, request: Request, pk: int) -> Response:
        """Lease the most informative image; the same one again while its lease lasts."""
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        item = queue_next(dataset=dataset, annotator=user_of(request))
        if item is None:
            return Response(status=204)
        return Response(item_bodies([item])[0])


class QueueTake(APIView):
    """Choosing work."""

    @extend_schema(request=None, responses=QueueItemOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Lease this very item. 409 when somebody else has it or the caller holds another."""
        return _answer(queue_take(item=item_for(request, pk), annotator=user_of(request)))


class QueueHeartbeat(APIView):
    """Holding on."""

    @extend_schema(request=None, responses=QueueItemOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Lengthen the lease. 409 when the image has gone to somebody else."""
        item = item_for(request, pk)
        return _answer(queue_heartbeat(item=item, annotator=user_of(request)))


class QueueRelease(APIView):
    """Giving back."""

    @extend_schema(request=None, responses=QueueItemOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Let others take it. 409 when the caller does not hold it."""
        item = item_for(request, pk)
        queue_release(item=item, annotator=user_of(request))
        return _answer(item)


class QueueSkip(APIView):
    """Leaving an image out."""

    parser_classes = [StrictJSONParser]

    @extend_schema(request=SkipInput, responses=QueueItemOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Close it with a reason; it comes back with a newer prediction at the earliest."""
        item = item_for(request, pk)
        sent = SkipInput(data=request.data)
        sent.is_valid(raise_exception=True)
        queue_skip(item=item, annotator=user_of(request), reason=sent.validated_data["reason"])
        return _answer(item)


class QueueSubmit(LimitedUploads, APIView):
    """Handing in."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        request={
            "multipart/form-data": inline_serializer(
                "SubmitInput",
                {"labels": serializers.FileField(), "document": DocumentInput()},
            )
        },
        parameters=[IF_MATCH, PREFER],
        responses={
            201: inline_serializer(
                "SubmitOutput", {"annotation": WrittenOutput(), "item": QueueItemOutput()}
            )
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Append a revision and close the item. 409 without the lease, 412 on a newer head.

        The same submission sent again gives the same answer.
        """
        item = item_for(request, pk)
        number = base_number(request)
        sent = submission_of(request, item.image, from_queue=True)
        _check_region(item, sent.details)
        if item.kind != Kind.ASK:
            return self._measured(request, item, sent, number)
        if not _submitted_by(item, user_of(request)):
            # Holds the image while the labels are stored, and refuses who does not hold it.
            queue_heartbeat(item=item, annotator=user_of(request))
        revision = revision_submit(
            image=item.image,
            author=user_of(request),
            labels=sent.labels,
            cell_types=sent.cell_types,
            base_number=number,
            details=sent.details,
        )
        item.refresh_from_db()
        return written_response(request, revision, item=item_bodies([item])[0])

    def _measured(
        self, request: Request, item: QueueItem, sent: Submission, number: int
    ) -> Response:
        """Keep it as a measure of the annotator, who is answered as always."""
        user = user_of(request)
        if number != 0:
            raise StaleRevision(f"Your answer began with revision {number}; load the image again.")
        types = checked_types(image=item.image, labels=sent.labels, cell_types=sent.cell_types)
        check_submit(
            item=item,
            annotator=user,
            labels=sent.labels,
            types=types,
            seconds=sent.details.seconds_spent,
        )
        item.refresh_from_db()
        revision = Revision(
            image=item.image,
            number=1,
            author=user,
            source=sent.details.source,
            prediction=sent.details.prediction,
            complete_regions=sent.details.complete_regions,
            created_at=timezone.now(),
        )
        cells = told_cells(item.image, sent.labels, sent.cell_types, sent.details.type_sources)
        return written_response(request, revision, cells, item=item_bodies([item])[0])


def _check_region(item: QueueItem, details: RevisionDetails) -> None:
    """Refuse work on a region that does not say that the region is done.

    Null says that the whole image is: it stays so where it was so, and is else more likely what a
    client sends that knows of no regions.
    """
    if item.region is None:
        return
    x0, y0, x1, y1 = item.region
    sent = details.complete_regions
    if sent is None and item.kind != Kind.ASK:
        done = False  # as of an image that nobody has annotated
    elif sent is None:
        head = item.image.revisions.order_by("-number").first()
        done = head is not None and head.complete_regions is None
    else:
        done = any(a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in sent)
    if not done:
        whole = [0, 0, item.image.width, item.image.height]
        raise BadInput(
            f"This item asks about the region {item.region} of {item.image.name}: send it among "
            f"complete_regions, beside those that were complete before (or {whole} where all of "
            "the image is done).",
            fields={"complete_regions": ["The region asked about is not among them."]},
        )


def _submitted_by(item: QueueItem, user: User) -> bool:
    """Whether ``user`` has handed ``item`` in: the answer was lost and the request comes again."""
    return item.outcome == Outcome.SUBMITTED and item.annotator == user


urlpatterns = [
    path("datasets/<int:pk>/queue/next/", QueueNext.as_view()),
    path("queue/<int:pk>/take/", QueueTake.as_view()),
    path("queue/<int:pk>/heartbeat/", QueueHeartbeat.as_view()),
    path("queue/<int:pk>/release/", QueueRelease.as_view()),
    path("queue/<int:pk>/skip/", QueueSkip.as_view()),
    path("queue/<int:pk>/submit/", QueueSubmit.as_view()),
]

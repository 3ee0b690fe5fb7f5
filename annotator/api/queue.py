"""The queue over REST: lease, hold, release, skip, submit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
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
from annotator.api.images import ImageOutput
from annotator.api.pagination import CheckedCursor, is_number
from annotator.api.parsers import StrictJSONParser
from annotator.api.predictions import ReasonOutput
from annotator.api.uploads import LimitedUploads
from annotator.exceptions import NotHere, StaleRevision
from annotator.models import Draft, Image, Kind, Outcome, QueueItem, Revision, Role
from annotator.selectors.images import hide_revisions, with_state
from annotator.selectors.queue import open_items
from annotator.services.annotations import checked_types, revision_submit
from annotator.services.checks import check_submit
from annotator.services.queue import (
    queue_heartbeat,
    queue_next,
    queue_release,
    queue_skip,
)
from inference.labels import cell_geometry


class QueueItemOutput(serializers.Serializer[QueueItem]):
    """An image to correct, and why. Annotator and lease are null while nobody holds it."""

    id = serializers.IntegerField()
    image = ImageOutput()
    score = serializers.FloatField()
    reasons = ReasonOutput(many=True)
    annotator = serializers.CharField(allow_null=True)
    leased_until = serializers.DateTimeField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)
    etag = serializers.CharField(help_text="send it as If-Match when submitting")
    draft = serializers.BooleanField(
        help_text="who holds it has unsubmitted work on it, on the server"
    )


class SkipInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=300)


class BestFirst(CheckedCursor):
    """The order in which images are leased."""

    ordering = ("-score", "id")
    fits = staticmethod(is_number)
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


MINE = OpenApiParameter("mine", bool, description="true: only what the caller holds")


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


class Queue(APIView):
    """The open items of a data set."""

    pagination_class = BestFirst  # read by the schema

    @extend_schema(parameters=[MINE], responses=QueueItemOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """In the order in which they are leased; leases nothing."""
        dataset = dataset_for(request.user, pk)
        items = open_items(dataset)
        if request.query_params.get("mine") == "true":
            items = items.filter(annotator=user_of(request), leased_until__gt=timezone.now())
        pages = self.pagination_class()
        page = pages.paginate_queryset(items, request, self) or []
        return pages.get_paginated_response(item_bodies(page))


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
        sent = submission_of(request, item.image)
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
            complete_regions=sent.details.complete_regions,
            created_at=timezone.now(),
        )
        cells = _told_cells(sent, types)
        return written_response(request, revision, cells, item=item_bodies([item])[0])


def _told_cells(sent: Submission, types: Mapping[int, str | None]) -> list[dict[str, Any]]:
    """The cells of a submission as a revision's would be told."""
    geometry = cell_geometry(sent.labels)
    return [
        {
            "label": label,
            "type": types[label],
            "type_source": "human" if types[label] else "",
            "bbox": geometry.boxes[row].tolist(),
            "area": int(geometry.areas[row]),
            "centroid": geometry.centroids[row].round(2).tolist(),
        }
        for row, label in enumerate(geometry.labels.tolist())
    ]


def _submitted_by(item: QueueItem, user: User) -> bool:
    """Whether ``user`` has handed ``item`` in: the answer was lost and the request comes again."""
    return item.outcome == Outcome.SUBMITTED and item.annotator == user


urlpatterns = [
    path("datasets/<int:pk>/queue/", Queue.as_view()),
    path("datasets/<int:pk>/queue/next/", QueueNext.as_view()),
    path("queue/<int:pk>/heartbeat/", QueueHeartbeat.as_view()),
    path("queue/<int:pk>/release/", QueueRelease.as_view()),
    path("queue/<int:pk>/skip/", QueueSkip.as_view()),
    path("queue/<int:pk>/submit/", QueueSubmit.as_view()),
]

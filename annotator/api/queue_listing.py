"""The queue over REST as people look at it: filtered, sorted, its reasons counted."""

from __future__ import annotations

import re
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, user_of
from annotator.api.pagination import CheckedCursor, is_number, is_row_id
from annotator.api.queue import QueueItemOutput, item_bodies
from annotator.exceptions import BadInput
from annotator.models import Split
from annotator.selectors.queue_listing import ORDERS, Listing, listed_items, queue_figures


class BestFirst(CheckedCursor):
    """The order in which images are leased, unless ``?sort=`` names another."""

    ordering = ORDERS["score"]
    fits = staticmethod(is_number)
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """The columns of the order asked for (BadInput)."""
        asked = request.query_params.get("sort", "score")
        if asked not in ORDERS:
            raise BadInput(f"The order {asked[:40]} is unknown; use {', '.join(ORDERS)}.")
        return ORDERS[asked]


MINE = OpenApiParameter("mine", bool, description="true: only what the caller holds")
AMONG = [
    OpenApiParameter("split", str, enum=Split.values),
    OpenApiParameter("culture", str, description="a cell type's name, or mixed"),
]
IMAGE = OpenApiParameter("image", int, description="only the item of this image")
REASON = OpenApiParameter(
    "reason", str, many=True, description="a reason's code; of several, items with any of them"
)
SORT = OpenApiParameter(
    "sort",
    str,
    enum=list(ORDERS),
    description="score: as leased (default); uncertainty; minutes: the shortest first; reasons: "
    "the most reasons first; number: the largest number in a reason, of those asked for, first",
)
_MOST_REASONS = 20


def listing_of(request: Request) -> Listing:
    """The filters of the query (BadInput)."""
    asked = request.query_params
    codes, split = tuple(dict.fromkeys(asked.getlist("reason"))), asked.get("split", "")
    wrong = next((code for code in codes if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", code)), None)
    if wrong is not None or len(codes) > _MOST_REASONS:
        raise BadInput(
            f"reason is a code of those that queue/reasons/ lists, up to {_MOST_REASONS} times."
        )
    if split and split not in Split.values:
        raise BadInput(f"The split {split[:40]} is unknown; use {', '.join(Split.values)}.")
    culture = asked.get("culture", "")
    if "\0" in culture:
        raise BadInput("culture is a cell type's name, or mixed.")
    image = asked.get("image", "")
    if image and not is_row_id(image):
        raise BadInput("image is a number.", fields={"image": ["Not a number."]})
    return Listing(codes, split, culture, int(image) if image else None)


class Queue(APIView):
    """The open items of a data set."""

    pagination_class = BestFirst  # read by the schema

    @extend_schema(
        parameters=[MINE, REASON, *AMONG, IMAGE, SORT], responses=QueueItemOutput(many=True)
    )
    def get(self, request: Request, pk: int) -> Response:
        """In the order in which they are leased, or another; leases nothing."""
        dataset = dataset_for(request.user, pk)
        items = listed_items(dataset, user_of(request), listing_of(request))
        if request.query_params.get("mine") == "true":
            items = items.filter(annotator=user_of(request), leased_until__gt=timezone.now())
        pages = self.pagination_class()
        page = pages.paginate_queryset(items, request, self) or []
        return pages.get_paginated_response(item_bodies(page))


class QueueReasons(APIView):
    """Why images are asked about."""

    @extend_schema(
        parameters=AMONG,
        responses=inline_serializer(
            "QueueFigures",
            {
                "open": serializers.IntegerField(),
                "held": serializers.IntegerField(),
                "reasons": inline_serializer(
                    "ReasonCount",
                    {"code": serializers.CharField(), "count": serializers.IntegerField()},
                    many=True,
                ),
            },
        ),
    )
    def get(self, request: Request, pk: int) -> Response:
        """How many items are open, held, and tell each reason; the most frequent first."""
        dataset = dataset_for(request.user, pk)
        return Response(queue_figures(dataset, user_of(request), listing_of(request)))


urlpatterns = [
    path("datasets/<int:pk>/queue/", Queue.as_view()),
    path("datasets/<int:pk>/queue/reasons/", QueueReasons.as_view()),
]

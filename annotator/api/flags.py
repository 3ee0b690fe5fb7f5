"""Flags over REST: annotators raise them, managers resolve them, every member reads them."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import LARGEST_ID, dataset_for, image_for, require, user_of
from annotator.api.pagination import NewestFirst, is_row_id
from annotator.api.parsers import StrictJSONParser
from annotator.exceptions import BadInput, NotHere
from annotator.models import Flag, Role
from annotator.services.flags import flag_raise, flag_resolve


class FlagInput(serializers.Serializer[Any]):
    note = serializers.CharField(max_length=500, help_text="what should be looked at")


class FlagOutput(serializers.Serializer[Flag]):
    """An open flag has no ``resolved_at``. A name is null when the account is gone."""

    id = serializers.IntegerField()
    image = serializers.IntegerField(source="image_id")
    image_name = serializers.CharField(source="image.name")
    author = serializers.CharField(source="author.username", default=None, allow_null=True)
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolved_by = serializers.CharField(
        source="resolved_by.username", default=None, allow_null=True
    )


class ImageFlags(APIView):
    """Flagging an image."""

    parser_classes = [StrictJSONParser]

    @extend_schema(request=FlagInput, responses={201: FlagOutput})
    def post(self, request: Request, pk: int) -> Response:
        """Ask the managers to look at it; the same open question twice is one flag."""
        image = image_for(request.user, pk, Role.ANNOTATOR)
        entry = FlagInput(data=request.data)
        entry.is_valid(raise_exception=True)
        flag = flag_raise(image=image, author=user_of(request), note=entry.validated_data["note"])
        return Response(FlagOutput(flag).data, status=201)


IMAGE = OpenApiParameter("image", int, description="only those on this image")
OPEN = OpenApiParameter(
    "open", str, enum=["true", "false"], description="true: open flags only; false: resolved ones"
)


class DatasetFlags(APIView):
    """The flags of a data set."""

    pagination_class = NewestFirst  # read by the schema

    @extend_schema(parameters=[OPEN, IMAGE], responses=FlagOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """Newest first; all of them unless ``?open=`` asks for some."""
        dataset = dataset_for(request.user, pk)
        wanted = request.query_params.get("open", "")
        if wanted not in ("", "true", "false"):
            raise BadInput("open is true or false.", fields={"open": ["Neither true nor false."]})
        flags = Flag.objects.filter(image__dataset=dataset)
        image = request.query_params.get("image", "")
        if image:
            if not is_row_id(image):
                raise BadInput("image is a number.", fields={"image": ["Not a number."]})
            flags = flags.filter(image=int(image))
        if wanted:
            flags = flags.filter(resolved_at__isnull=wanted == "true")
        pages = self.pagination_class()
        rows = flags.select_related("image", "author", "resolved_by")
        page = pages.paginate_queryset(rows, request, self) or []
        return pages.get_paginated_response([FlagOutput(flag).data for flag in page])


class FlagResolve(APIView):
    """Closing a flag."""

    @extend_schema(request=None, responses=FlagOutput)
    def post(self, request: Request, pk: int) -> Response:
        """May be repeated: a resolved flag stays as it was."""
        absent = f"There is no flag {pk}."
        if pk > LARGEST_ID:
            raise NotHere(absent)
        flag = Flag.objects.select_related("image").filter(pk=pk).first()
        if flag is None:
            raise NotHere(absent)
        require(request.user, flag.image.dataset_id, Role.MANAGER, absent)
        return Response(FlagOutput(flag_resolve(flag=flag, manager=user_of(request))).data)


urlpatterns = [
    path("images/<int:pk>/flags/", ImageFlags.as_view()),
    path("datasets/<int:pk>/flags/", DatasetFlags.as_view()),
    path("flags/<int:pk>/resolve/", FlagResolve.as_view()),
]

"""What the cultures are made of, over REST."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for
from annotator.exceptions import BadInput
from annotator.models import Split
from annotator.models.images import MIXED
from annotator.selectors.composition import HEADS, PREDICTIONS, composition


class CompositionInput(serializers.Serializer[Any]):
    source = serializers.ChoiceField((HEADS, PREDICTIONS), default=HEADS)  # type: ignore[assignment]
    split = serializers.ChoiceField(Split.choices, default="", allow_blank=True)
    culture = serializers.CharField(default="", allow_blank=True, max_length=40)


class ShareOutput(serializers.Serializer[Any]):
    """Share of the typed cells with its 95 % interval (Wilson)."""

    name = serializers.CharField()
    color = serializers.CharField()
    cells = serializers.IntegerField()
    share = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class ImageCountsOutput(serializers.Serializer[Any]):
    image = serializers.IntegerField()
    name = serializers.CharField()
    split = serializers.CharField()
    culture = serializers.CharField()
    cells = serializers.IntegerField()
    untyped = serializers.IntegerField()
    types = serializers.DictField(child=serializers.IntegerField())


class CompositionOutput(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]
    images = serializers.IntegerField()
    cells = serializers.IntegerField()
    untyped = serializers.IntegerField()
    types = ShareOutput(many=True)
    per_image = ImageCountsOutput(many=True)


class Composition(APIView):
    """Counts and shares of cell types."""

    @extend_schema(
        parameters=[
            OpenApiParameter("source", str, enum=[HEADS, PREDICTIONS]),
            OpenApiParameter("split", str, enum=Split.values),
            OpenApiParameter("culture", str, description="a cell type's name, or mixed"),
        ],
        responses=CompositionOutput,
    )
    def get(self, request: Request, pk: int) -> Response:
        """Cells per type over the head revisions or the newest predictions."""
        dataset = dataset_for(request.user, pk)
        asked = CompositionInput(data=request.query_params)
        asked.is_valid(raise_exception=True)
        known = ["", MIXED, *dataset.types.values_list("name", flat=True)]
        if (culture := asked.validated_data["culture"]) not in known:
            raise BadInput(f"There is no culture {culture}; use {', '.join(known[1:])}.")
        return Response(composition(dataset, **asked.validated_data))


urlpatterns = [path("datasets/<int:pk>/composition/", Composition.as_view())]

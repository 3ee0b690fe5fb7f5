"""Masks out of a prediction's cached flows over REST: other thresholds, or one cell by a click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from django.http import HttpResponse
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import image_for
from annotator.api.annotations import BINARY
from annotator.api.labels import AnyAccept, raw_response
from annotator.api.parsers import StrictJSONParser
from annotator.api.predictions import newest_or_absent
from annotator.models import Role
from annotator.services.flows import prediction_cell_at, prediction_masks

if TYPE_CHECKING:
    from inference.redecode import FoundCell


class ThresholdsInput(serializers.Serializer[Any]):
    """Cellpose's knobs of the step from flows to masks."""

    cellprob_threshold = serializers.FloatField(min_value=-6, max_value=6, default=0.0)
    flow_threshold = serializers.FloatField(min_value=0, max_value=10, default=0.4)
    min_size = serializers.IntegerField(min_value=0, max_value=10**6, default=15)


class PointInput(serializers.Serializer[Any]):
    """A pixel of the image, from 0 at the top left."""

    x = serializers.IntegerField(min_value=0)
    y = serializers.IntegerField(min_value=0)


class FoundCellOutput(serializers.Serializer[Any]):
    """A mask as rows of pixels: [[y, x0, x1], …], half-open."""

    spans = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=3, max_length=3)
    )


def spans_of(found: FoundCell) -> list[list[int]]:
    """[[y, x0, x1], …] of a mask, in image pixels."""
    padded = np.pad(found.mask.astype(np.int8), ((0, 0), (1, 1)))
    edges = np.diff(padded, axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [
        [int(row) + found.y0, int(x0) + found.x0, int(x1) + found.x0]
        for (row, x0), (_, x1) in zip(starts, ends, strict=True)
    ]


class PredictionMasks(APIView):
    """The segmenter's masks at other thresholds."""

    parser_classes = [StrictJSONParser]
    content_negotiation_class = AnyAccept

    @extend_schema(request=ThresholdsInput, responses=BINARY)
    def post(self, request: Request, pk: int) -> HttpResponse:
        """Raw little-endian bytes (X-Shape, X-Dtype) of a label image; nothing is stored."""
        prediction = newest_or_absent(image_for(request.user, pk, Role.ANNOTATOR))
        asked = ThresholdsInput(data=request.data)
        asked.is_valid(raise_exception=True)
        labels = prediction_masks(prediction=prediction, **asked.validated_data)
        response = raw_response(request, labels)
        response["X-Prediction"] = str(prediction.pk)
        return response


class PredictionCell(APIView):
    """One missed cell by a click."""

    parser_classes = [StrictJSONParser]

    @extend_schema(request=PointInput, responses=FoundCellOutput)
    def post(self, request: Request, pk: int) -> Response:
        """The cell the segmenter's flows hold under a pixel; 404 when there is none."""
        prediction = newest_or_absent(image_for(request.user, pk, Role.ANNOTATOR))
        asked = PointInput(data=request.data)
        asked.is_valid(raise_exception=True)
        found = prediction_cell_at(prediction=prediction, **asked.validated_data)
        return Response({"spans": spans_of(found)})


urlpatterns = [
    path("images/<int:pk>/prediction/masks/", PredictionMasks.as_view()),
    path("images/<int:pk>/prediction/cell/", PredictionCell.as_view()),
]

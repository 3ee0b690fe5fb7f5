"""Predictions over REST: an image's newest one, with its cells and its labels."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator import storage
from annotator.api.access import image_for
from annotator.api.labels import AnyAccept, labels_response
from annotator.exceptions import NotHere
from annotator.models import Image, PredictedCell, Prediction, PredictionAttempt
from annotator.selectors.predictions import newest_prediction
from annotator.services.flows import flows_prepare


class ReasonOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    text = serializers.CharField()
    value = serializers.FloatField(allow_null=True)


class PredictedCellOutput(serializers.Serializer[PredictedCell]):
    label = serializers.IntegerField()  # type: ignore[assignment]
    type = serializers.SerializerMethodField()
    score = serializers.FloatField()
    probabilities = serializers.DictField(child=serializers.FloatField())
    uncertainty = serializers.FloatField()
    terms = serializers.DictField(child=serializers.FloatField())
    seen_by = serializers.CharField()
    bbox = serializers.ListField(child=serializers.IntegerField())
    area = serializers.IntegerField()
    centroid = serializers.ListField(child=serializers.FloatField())

    def get_type(self, cell: PredictedCell) -> str | None:
        """The likeliest type's name; null without a detector."""
        return cell.type.name if cell.type else None


class PredictionOutput(serializers.Serializer[Prediction]):
    id = serializers.IntegerField()
    segmenter = serializers.CharField(source="segmenter.version")
    detector = serializers.SerializerMethodField()
    uncertainty = serializers.FloatField()
    reasons = ReasonOutput(many=True)
    diameter = serializers.FloatField()
    created_at = serializers.DateTimeField()
    cells = PredictedCellOutput(many=True)

    def get_detector(self, prediction: Prediction) -> str | None:
        """The detector's version; null when the segmenter predicted alone."""
        return prediction.detector.version if prediction.detector else None


def prediction_body(prediction: Prediction) -> dict[str, Any]:
    """The JSON of a prediction. By hand: a serializer takes a second for thousands of cells."""
    columns = ("label", "type__name", "score", "probabilities", "uncertainty", "terms", "seen_by")
    # Plain rows: there may be thousands, and model instances cost more than the query.
    cells = prediction.cells.order_by("label").values(*columns, "bbox", "area", "centroid")
    return {
        "id": prediction.pk,
        "segmenter": prediction.segmenter.version,
        "detector": prediction.detector.version if prediction.detector else None,
        "uncertainty": prediction.uncertainty,
        "reasons": prediction.reasons,
        "diameter": prediction.diameter,
        "created_at": prediction.created_at,
        "cells": [{"type": cell.pop("type__name"), **cell} for cell in cells],
    }


def newest_or_absent(image: Image) -> Prediction:
    """The image's newest prediction; NotHere with the reason when there is none."""
    prediction = newest_prediction(image)
    if prediction is None:
        attempt = PredictionAttempt.objects.filter(image=image).exclude(message="").first()
        why = f": {attempt.message}" if attempt else "."
        raise NotHere(f"{image.name} has no prediction yet{why}")
    return prediction


class ImagePrediction(APIView):
    """An image's newest prediction."""

    @extend_schema(responses=PredictionOutput)
    def get(self, request: Request, pk: int) -> Response:
        """Its cells with types, probabilities and uncertainties; 404 while there is none."""
        prediction = newest_or_absent(image_for(request.user, pk))
        if prediction.flows_key:
            flows_prepare()  # somebody looks at it, and may change thresholds or pick a cell next
        return Response(prediction_body(prediction))


class PredictionLabels(APIView):
    """The label image of an image's newest prediction."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """Raw little-endian bytes (X-Shape, X-Dtype), or TIFF or PNG by Accept."""
        image = image_for(request.user, pk)
        prediction = newest_or_absent(image)
        response = labels_response(request, storage.labels_get(prediction.labels_key), image.name)
        # A new prediction may come between the two requests: clients compare this with the id.
        response["X-Prediction"] = str(prediction.pk)
        return response


urlpatterns = [
    path("images/<int:pk>/prediction/", ImagePrediction.as_view()),
    path("images/<int:pk>/prediction/labels/", PredictionLabels.as_view()),
]

"""Predictions over REST: an image's newest one, with its cells and its labels."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseNotModified
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
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
from annotator.services.heats import heat_tag, prediction_heat


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


def heat_path(image_id: int, prediction_id: int | None) -> str | None:
    """The address of the heat picture of a prediction; None without one.

    It names the prediction, so that a browser may keep the picture until there is another.
    """
    if prediction_id is None:
        return None
    return f"/api/v1/images/{image_id}/heat/?prediction={prediction_id}"


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


class ImageHeat(APIView):
    """Where an image's newest prediction is unsure."""

    content_negotiation_class = AnyAccept

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "prediction", int, description="the id it is known by: it may be kept for an hour"
            )
        ],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        """PNG with alpha to lay over the thumbnail: the less sure of a cell, the brighter.

        Discs with a white rim are places where a cell may have been missed.
        """
        prediction = newest_or_absent(image_for(request.user, pk))
        tag = f'"{heat_tag(prediction)}"'
        if request.headers.get("If-None-Match") == tag:
            response: HttpResponse = HttpResponseNotModified()
        else:
            response = HttpResponse(prediction_heat(prediction=prediction), "image/png")
        named = request.query_params.get("prediction") == str(prediction.pk)
        response["ETag"] = tag
        response["Cache-Control"] = "private, max-age=3600" if named else "private, no-cache"
        response["Vary"] = "Cookie, Authorization"
        return response


urlpatterns = [
    path("images/<int:pk>/prediction/", ImagePrediction.as_view()),
    path("images/<int:pk>/prediction/labels/", PredictionLabels.as_view()),
    path("images/<int:pk>/heat/", ImageHeat.as_view()),
]

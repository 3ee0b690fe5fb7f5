"""Gold images and agreement over REST: how annotators do beside the truth and beside themselves."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, image_for
from annotator.api.parsers import StrictJSONParser
from annotator.models import Image, Role
from annotator.selectors.checks import agreement_of, gold_images
from annotator.services.checks import gold_set


class GoldInput(serializers.Serializer[Any]):
    gold = serializers.BooleanField()


class GoldOutput(serializers.Serializer[Image]):
    """An image whose head revision is the truth that annotators are measured by."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    gold = serializers.BooleanField()


class FiguresOutput(serializers.Serializer[Any]):
    """Means over ``images``; null where nothing could be compared. AP in cellpose's sense."""

    images = serializers.IntegerField()
    cells = serializers.IntegerField()
    ap50 = serializers.FloatField(allow_null=True)
    pq = serializers.FloatField(allow_null=True)
    type_agreement = serializers.FloatField(allow_null=True)
    count_error = serializers.FloatField(allow_null=True)


class AgreementOutput(serializers.Serializer[Any]):
    """One annotator: beside the truth of gold images, and beside the own earlier answers."""

    annotator = serializers.CharField()
    gold = FiguresOutput()
    repeat = FiguresOutput()


class ImageGold(APIView):
    """Whether an image is a gold one."""

    parser_classes = [StrictJSONParser]

    @extend_schema(request=GoldInput, responses=GoldOutput)
    def put(self, request: Request, pk: int) -> Response:
        """Make it one, or no longer. 409 unless its head revision is complete as a whole."""
        image = image_for(request.user, pk, Role.MANAGER)
        sent = GoldInput(data=request.data)
        sent.is_valid(raise_exception=True)
        return Response(GoldOutput(gold_set(image=image, gold=sent.validated_data["gold"])).data)


class GoldImages(APIView):
    """The gold images of a data set."""

    @extend_schema(responses=GoldOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """For managers: annotators are not to know them."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        return Response([GoldOutput(image).data for image in gold_images(dataset)])


class Agreement(APIView):
    """How annotators do."""

    @extend_schema(responses=AgreementOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """By annotator, for managers; the mean over repeats is what a person can reach."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        return Response(AgreementOutput(agreement_of(dataset), many=True).data)


urlpatterns = [
    path("images/<int:pk>/gold/", ImageGold.as_view()),
    path("datasets/<int:pk>/gold/", GoldImages.as_view()),
    path("datasets/<int:pk>/agreement/", Agreement.as_view()),
]

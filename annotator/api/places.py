"""Places where a cell seems to be that no model drew, over REST: asked about one by one."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import LARGEST_ID, dataset_for, user_of
from annotator.api.answers import (
    MOST_ASKED,
    MOST_HELD,
    MadeRevision,
    answers_by,
    checked,
    seconds_field,
)
from annotator.api.cells import PictureOutput
from annotator.models import PlaceQuestion, Role, Verdict
from annotator.services.places import places_answer, places_next, places_release
from annotator.services.questions import asks_type

MOST_PLACES = 24  # in one batch: an image is decoded for each at worst


class NextPlacesInput(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=1, max_value=MOST_PLACES, default=8)
    holding = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        default=list,
        max_length=MOST_HELD,
        help_text="places that the caller has at hand: their leases are renewed",
    )


class PlaceOutput(serializers.Serializer[PlaceQuestion]):
    """A place that the caller is asked about, and what is offered as the cell."""

    place = serializers.IntegerField(source="pk")
    image = serializers.IntegerField(source="prediction.image_id")
    name = serializers.CharField(source="prediction.image.name")
    prediction = serializers.IntegerField(source="prediction_id")
    x = serializers.FloatField(help_text="px")
    y = serializers.FloatField(help_text="px")
    cells = serializers.FloatField(
        help_text="how many seem to be there; of one, the chance that it is"
    )
    type = serializers.SerializerMethodField(
        help_text="of all cells of the image; null where it is asked for"
    )
    asks_type = serializers.SerializerMethodField()
    spans = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="the mask: [[y, x0, x1], …] px, half-open",
    )
    crop = PictureOutput(help_text="as of `cells/crops/`")

    def get_type(self, question: PlaceQuestion) -> str | None:
        """The culture's type."""
        image = question.prediction.image
        return None if asks_type(image) else image.culture

    def get_asks_type(self, question: PlaceQuestion) -> bool:
        """Whether the type is asked for."""
        return asks_type(question.prediction.image)


class PlacesOutput(serializers.Serializer[Any]):
    places = PlaceOutput(many=True)
    lease_minutes = serializers.IntegerField()


class PlaceAnswerInput(serializers.Serializer[Any]):
    place = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    verdict = serializers.ChoiceField(
        Verdict.choices,
        help_text="accepted: a cell, as offered; retyped: and of this type; rejected: none",
    )
    type = serializers.CharField(required=False, allow_null=True, max_length=40)


class PlaceAnswersInput(serializers.Serializer[Any]):
    answers = PlaceAnswerInput(  # type: ignore[call-arg]
        many=True, allow_empty=False, max_length=MOST_ASKED
    )
    seconds_spent = seconds_field


class AnsweredPlacesOutput(serializers.Serializer[Any]):
    revisions = MadeRevision(many=True)
    answered = serializers.ListField(child=serializers.IntegerField())
    refused = inline_serializer(
        "RefusedPlace",
        {"place": serializers.IntegerField(), "message": serializers.CharField()},
        many=True,
    )


class ReleasePlacesInput(serializers.Serializer[Any]):
    places = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID), max_length=MOST_HELD
    )


class PlacesNext(APIView):
    """Asking for places."""

    @extend_schema(request=NextPlacesInput, responses=PlacesOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Lease the places where a cell is likeliest, each with its picture; none without a model.

        Those held already come before others.
        """
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(NextPlacesInput, request)
        places = places_next(
            dataset=dataset,
            annotator=user_of(request),
            count=sent["count"],
            holding=sent["holding"],
        )
        body = {"places": places, "lease_minutes": dataset.lease_minutes}
        return Response(PlacesOutput(body).data)


class PlacesAnswer(APIView):
    """Answering."""

    @extend_schema(request=PlaceAnswersInput, responses=AnsweredPlacesOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Answers about places; the request may be repeated. `cells/undo/` takes them back."""
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        sent = checked(PlaceAnswersInput, request)
        done = places_answer(
            dataset=dataset,
            annotator=user_of(request),
            answers=answers_by("place", sent["answers"]),
            seconds=sent.get("seconds_spent"),
        )
        refused = [{"place": place, "message": why} for place, why in done.refused.items()]
        body = {"revisions": done.revisions, "answered": done.done, "refused": refused}
        return Response(AnsweredPlacesOutput(body).data)


class PlacesRelease(APIView):
    """Giving back."""

    @extend_schema(request=ReleasePlacesInput, responses={204: None})
    def post(self, request: Request, pk: int) -> Response:
        """Let others be asked about places that one was asked about."""
        dataset = dataset_for(request.user, pk, Role.ANNOTATOR)
        places_release(
            dataset=dataset,
            annotator=user_of(request),
            places=checked(ReleasePlacesInput, request)["places"],
        )
        return Response(status=204)


urlpatterns = [
    path("datasets/<int:pk>/places/next/", PlacesNext.as_view()),
    path("datasets/<int:pk>/places/answers/", PlacesAnswer.as_view()),
    path("datasets/<int:pk>/places/release/", PlacesRelease.as_view()),
]

"""How the models grew with people's corrections, over REST."""

from __future__ import annotations

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for
from annotator.models import Family, Split
from annotator.selectors.learning import FIGURES, learning

VERDICTS = ("helps", "stopped", "unsure")


class PutInOutput(serializers.Serializer[Any]):
    """What people had put in by some moment: training cells in complete regions, the images they
    are in, and the minutes that revisions of training images took. ``untimed`` of them came
    without a time; ``minutes`` is null when all did.
    """

    annotated_cells = serializers.IntegerField()
    images = serializers.IntegerField()
    minutes = serializers.FloatField(allow_null=True)
    revisions = serializers.IntegerField()
    untimed = serializers.IntegerField()


class MeasuredFigureOutput(serializers.Serializer[Any]):
    """With its 95 % interval by resampling images; null for few images."""

    value = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class MeasuredOutput(serializers.Serializer[Any]):
    """A version on one test set."""

    test_set = serializers.CharField()
    ap50 = MeasuredFigureOutput(allow_null=True)
    type_accuracy = MeasuredFigureOutput(allow_null=True)


class PointOutput(PutInOutput):
    """A version that a run made, and what people had put in when its snapshot was taken."""

    version = serializers.CharField()
    created_at = serializers.DateTimeField()
    measured = MeasuredOutput(many=True)


class TestSetOutput(serializers.Serializer[Any]):
    """Frozen images; only figures on the same ones may be compared."""

    name = serializers.CharField()
    split = serializers.ChoiceField(Split.choices)
    images = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    versions = serializers.IntegerField(help_text="that were measured on it")


class GainOutput(serializers.Serializer[Any]):
    """What so many more cells would bring, with a 95 % interval, and the minutes they would take
    at the pace of late.
    """

    cells = serializers.IntegerField()
    minutes = serializers.FloatField(allow_null=True)
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class DrawnOutput(serializers.Serializer[Any]):
    """A point of a fitted curve with its 95 % band."""

    cells = serializers.FloatField()
    minutes = serializers.FloatField(allow_null=True)
    value = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class CurveOutput(serializers.Serializer[Any]):
    """level − rate · cells^−power, drawn at the level of ``test_set``."""

    test_set = serializers.CharField()
    versions = serializers.IntegerField()
    level = serializers.FloatField()
    rate = serializers.FloatField()
    power = serializers.FloatField()
    verdict = serializers.ChoiceField(VERDICTS, help_text="whether more labels still help")
    next = GainOutput()
    far = GainOutput()
    drawn = DrawnOutput(many=True)


class FitOutput(serializers.Serializer[Any]):
    """``curve`` is null when versions are too few, and ``sentence`` says what is missing."""

    figure = serializers.ChoiceField(FIGURES)
    curve = CurveOutput(allow_null=True)
    sentence = serializers.CharField()


class FamilyCurveOutput(serializers.Serializer[Any]):
    """``test_sets`` newest first; ``reference`` is the newest that several versions share."""

    family = serializers.ChoiceField(Family.choices)
    test_sets = TestSetOutput(many=True)
    reference = serializers.CharField(allow_null=True)
    points = PointOutput(many=True)
    fits = FitOutput(many=True)


class WorkOutput(serializers.Serializer[Any]):
    """Work that began with a prediction of these models. Medians are of the ``timed`` images;
    ``unchanged`` is the share of the cells that stayed as predicted.
    """

    segmenter = serializers.CharField()
    detector = serializers.CharField(allow_null=True)
    images = serializers.IntegerField()
    cells = serializers.IntegerField()
    timed = serializers.IntegerField()
    seconds_per_image = serializers.FloatField(allow_null=True)
    seconds_per_cell = serializers.FloatField(allow_null=True)
    edits_per_100 = serializers.FloatField(allow_null=True, help_text="corrected per 100 cells")
    unchanged = serializers.FloatField(allow_null=True)


class LearningCurveOutput(serializers.Serializer[Any]):
    now = PutInOutput()
    families = FamilyCurveOutput(many=True)
    work = WorkOutput(many=True)


class LearningCurve(APIView):
    """How the models grew with the corrected cells."""

    @extend_schema(responses=LearningCurveOutput)
    def get(self, request: Request, pk: int) -> Response:
        """Versions by what people had put in, what more would bring, and the work by models."""
        return Response(learning(dataset_for(request.user, pk)))


urlpatterns = [path("datasets/<int:pk>/learning-curve/", LearningCurve.as_view())]

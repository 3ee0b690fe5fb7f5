"""Model versions over REST: what there is, how good it is, promotion, weights."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import require
from annotator.api.downloads import download
from annotator.api.labels import AnyAccept
from annotator.api.runs import DATASET, DELETED, asked_datasets
from annotator.exceptions import NotHere
from annotator.models import Evaluation, Family, Fusion, ModelVersion, Role, Stage
from annotator.selectors.versions import versions_of
from annotator.services.versions import WEIGHTS, version_promote


class EvaluationOutput(serializers.Serializer[Evaluation]):
    split = serializers.CharField()
    images = serializers.IntegerField()
    frozen_hash = serializers.CharField()
    metrics = serializers.DictField()
    created_at = serializers.DateTimeField()


class SharesOutput(serializers.Serializer[Any]):
    """A figure of the fused cells and of each model's alone."""

    fused = serializers.FloatField()
    segmenter = serializers.FloatField()
    detector = serializers.FloatField()


class DoubtFiguresOutput(serializers.Serializer[Any]):
    """How well doubt predicts which fused cells are wrong: area under the ROC curve, also of each
    term alone; the share of wrong ones (``risk``) among the surest (``coverage``), and its mean.
    """

    cells = serializers.IntegerField()
    wrong = serializers.IntegerField()
    expected = serializers.FloatField(help_text="wrong cells, by the sum of their chances")
    auroc = serializers.FloatField(allow_null=True)
    aurc = serializers.FloatField(allow_null=True)
    coverage = serializers.ListField(child=serializers.FloatField())
    risk = serializers.ListField(child=serializers.FloatField())
    terms = serializers.DictField(child=serializers.FloatField(allow_null=True))


class FusionFiguresOutput(serializers.Serializer[Any]):
    """Measured on ``images`` of ``split``: mean AP, and cells missed and too many per true cell;
    expected calibration errors of the chance that a cell is there and of its type.
    """

    images = serializers.IntegerField()
    cells = serializers.IntegerField()
    ap50 = SharesOutput()
    missed = SharesOutput()
    extra = SharesOutput()
    existence_error = serializers.FloatField(allow_null=True)
    type_error = serializers.FloatField(allow_null=True)
    doubt = DoubtFiguresOutput(required=False, help_text="absent from fits of older releases")


class FusionOutput(serializers.Serializer[Fusion]):
    """How a detector is fused with a segmenter, fitted on ``images`` of the validation split."""

    segmenter = serializers.CharField(source="segmenter.version")
    images = serializers.IntegerField()
    borders = serializers.CharField(source="rule.borders")
    least_chance = serializers.FloatField(source="rule.least")
    # Models whose drawings there was something to learn from; of the others the default decides.
    learnt = serializers.SerializerMethodField()
    split = serializers.CharField()
    figures = FusionFiguresOutput()
    created_at = serializers.DateTimeField()

    def get_learnt(self, fusion: Fusion) -> list[str]:
        """``segmenter`` and ``detector``, as far as their lone cells stay by ``least_chance``."""
        return [family for family in Family.values if fusion.rule.get(family)]


class TaughtByOutput(serializers.Serializer[Any]):
    """The training set of a version."""

    images = serializers.IntegerField()
    cells = serializers.IntegerField()


class VersionOutput(serializers.Serializer[ModelVersion]):
    """A version with its metrics on each frozen split, oldest first."""

    id = serializers.IntegerField()
    version = serializers.CharField()
    dataset = serializers.IntegerField(source="dataset_id")
    family = serializers.ChoiceField(Family.choices)
    number = serializers.IntegerField()
    stage = serializers.ChoiceField(Stage.choices)
    parent = serializers.SerializerMethodField()  # type: ignore[assignment]
    start = serializers.SerializerMethodField()
    taught_by = serializers.SerializerMethodField()
    passed_gate = serializers.BooleanField(allow_null=True)
    run = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    promoted_at = serializers.DateTimeField(allow_null=True)
    meta = serializers.DictField()
    evaluations = EvaluationOutput(many=True, source="evaluations.all")
    fusions = FusionOutput(many=True, source="fusions.all")

    def get_parent(self, version: ModelVersion) -> str | None:
        """The version it was trained from."""
        return version.parent.version if version.parent else None

    def get_start(self, version: ModelVersion) -> str:
        """What its training started from: a version, scratch, built-in weights; or "imported"."""
        run = getattr(version, "run", None)
        if run is None:
            return "imported"
        if version.parent is None and run.lost_base:
            return DELETED
        return version.parent.version if version.parent else run.config.get("start", "scratch")

    @extend_schema_field(TaughtByOutput(allow_null=True))
    def get_taught_by(self, version: ModelVersion) -> dict[str, int] | None:
        """Images and cells of its training set; null when it was imported."""
        run = getattr(version, "run", None)
        counts = run.snapshot.counts if run and run.snapshot else {}
        train = counts.get("train")
        return {key: train[key] for key in ("images", "cells")} if train else None

    def get_run(self, version: ModelVersion) -> int | None:
        """The run that made it; null when it was imported."""
        run = getattr(version, "run", None)
        return run.pk if run else None


class Versions(ListAPIView[ModelVersion]):
    """Versions, newest first."""

    serializer_class = VersionOutput

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """Versions of one data set, or of all that the caller sees."""
        if getattr(self, "swagger_fake_view", False):
            return ModelVersion.objects.none()
        return versions_of(*asked_datasets(self.request))

    @extend_schema(parameters=[DATASET])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Versions of the caller's data sets."""
        return super().get(request, *args, **kwargs)


def version_for(request: Request, pk: int, role: Role = Role.VIEWER) -> ModelVersion:
    """The version, if the caller has at least ``role`` in its data set (NotHere, NotAllowed)."""
    absent = f"There is no model version {pk}."
    version = ModelVersion.objects.select_related("dataset").filter(pk=pk).first()
    if version is None:
        raise NotHere(absent)
    require(request.user, version.dataset_id, role, absent)
    return version


class Version(APIView):
    """One version."""

    @extend_schema(responses=VersionOutput)
    def get(self, request: Request, pk: int) -> Response:
        """Its stage, meta and metrics."""
        return Response(VersionOutput(version_for(request, pk)).data)


class VersionPromote(APIView):
    """Choosing what predicts."""

    @extend_schema(request=None, responses=VersionOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Make it the current one of its family; a retired one is rolled back to."""
        version = version_promote(version=version_for(request, pk, Role.MANAGER))
        return Response(VersionOutput(version).data)


class VersionWeights(APIView):
    """The weights themselves."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """The safetensors file."""
        version = version_for(request, pk)
        name = f"{version.dataset.name}-{version}.safetensors"
        return download(request, f"{version.key}/{WEIGHTS}", name)


urlpatterns = [
    path("model-versions/", Versions.as_view()),
    path("model-versions/<int:pk>/", Version.as_view()),
    path("model-versions/<int:pk>/promote/", VersionPromote.as_view()),
    path("model-versions/<int:pk>/weights/", VersionWeights.as_view()),
]

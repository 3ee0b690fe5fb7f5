"""Exports over REST: asked for, watched, downloaded."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, require, user_of
from annotator.api.downloads import download
from annotator.api.labels import AnyAccept
from annotator.exceptions import NotHere
from annotator.models import Export, ExportStatus, Role, Split
from annotator.services.exports import (
    FORMATS,
    PREDICTIONS,
    REVISIONS,
    ExportRequest,
    export_create,
    export_download,
)


class ExportInput(serializers.Serializer[Any]):
    dataset = serializers.IntegerField()
    format = serializers.ChoiceField(FORMATS)
    source = serializers.ChoiceField((REVISIONS, PREDICTIONS), default=REVISIONS)  # type: ignore[assignment]
    split = serializers.ChoiceField(
        Split.choices, required=False, allow_blank=True, allow_null=True, default=""
    )


class ExportOutput(serializers.Serializer[Export]):
    """An export; ``download`` is set when it is done."""

    id = serializers.IntegerField()
    dataset = serializers.IntegerField(source="dataset_id")
    format = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    split = serializers.CharField()
    status = serializers.ChoiceField(ExportStatus.choices)
    message = serializers.CharField()
    images = serializers.IntegerField()
    cells = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    url = serializers.SerializerMethodField()
    download = serializers.SerializerMethodField()

    def get_url(self, export: Export) -> str:
        """Where to ask how far it is."""
        return f"/api/v1/exports/{export.pk}/"

    def get_download(self, export: Export) -> str | None:
        """Where the zip is, once it is there."""
        there = export.status == ExportStatus.DONE and export.key
        return f"/api/v1/exports/{export.pk}/download/" if there else None


def export_for(request: Request, pk: int) -> Export:
    """The export, if the caller is a member of its data set (NotHere)."""
    absent = f"There is no export {pk}."
    export = Export.objects.select_related("dataset").filter(pk=pk).first()
    if export is None:
        raise NotHere(absent)
    require(request.user, export.dataset_id, Role.VIEWER, absent)
    return export


class Exports(APIView):
    """Asking for exports."""

    @extend_schema(request=ExportInput, responses={202: ExportOutput})
    def post(self, request: Request) -> Response:
        """Queue an export. 409 when there is nothing to export."""
        sent = ExportInput(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        # Whoever may look at every image may also take them along.
        dataset = dataset_for(request.user, asked["dataset"], Role.VIEWER)
        wanted = ExportRequest(dataset, asked["format"], asked["source"], asked["split"] or "")
        export = export_create(request=wanted, requested_by=user_of(request))
        answer = ExportOutput(export).data
        return Response(answer, status=202, headers={"Location": answer["url"]})


class ExportStatusView(APIView):
    """One export."""

    @extend_schema(responses=ExportOutput)
    def get(self, request: Request, pk: int) -> Response:
        """How far it is."""
        return Response(ExportOutput(export_for(request, pk)).data)


class ExportDownload(APIView):
    """An export's file."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        """The zip; 409 while it is being written or when it failed."""
        key, name = export_download(export=export_for(request, pk))
        return download(request, key, name)


urlpatterns = [
    path("exports/", Exports.as_view()),
    path("exports/<int:pk>/", ExportStatusView.as_view()),
    path("exports/<int:pk>/download/", ExportDownload.as_view()),
]

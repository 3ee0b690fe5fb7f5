"""Images over REST: upload, list, pixels, thumbnails."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseNotModified
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, image_for, user_of
from annotator.api.labels import AnyAccept, raw_response
from annotator.api.pagination import OldestFirst
from annotator.api.uploads import LimitedUploads
from annotator.exceptions import BadInput
from annotator.models import Image, Role, Split
from annotator.readers import model_channels
from annotator.selectors.cells import hidden_from
from annotator.selectors.images import (
    STATUSES,
    hide_revisions,
    image_with_state,
    images_of,
    neighbours_of,
)
from annotator.selectors.queue import held_check
from annotator.services.images import image_array, image_delete, image_thumbnail
from annotator.services.imports import ImportFile, ImportReport, images_import

LONGEST_NAME = 255
LONGEST_FOLDER = 1000


class ImageOutput(serializers.Serializer[Any]):
    """An image annotated by ``selectors.images.with_state``."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    split = serializers.ChoiceField(Split.choices)
    culture = serializers.CharField(allow_blank=True)
    batch = serializers.CharField(allow_blank=True)
    well = serializers.CharField(allow_blank=True)
    field = serializers.CharField(allow_blank=True)
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    channel_count = serializers.IntegerField()
    dtype = serializers.CharField()
    pixel_size_um = serializers.FloatField(allow_null=True)
    status = serializers.ChoiceField(STATUSES)
    cells = serializers.IntegerField(allow_null=True)
    uncertainty = serializers.FloatField(allow_null=True)
    revision = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    thumbnail = serializers.SerializerMethodField()

    def get_thumbnail(self, image: Image) -> str:
        return f"/api/v1/images/{image.pk}/thumbnail/"


class ImageDetailOutput(ImageOutput):
    """With the roles that are shown, and the data set."""

    channels = serializers.SerializerMethodField()
    dataset = serializers.IntegerField(source="dataset_id")

    def get_channels(self, image: Image) -> list[str]:
        return list(model_channels(image.dataset.channels))


class NeighboursOutput(serializers.Serializer[Any]):
    """The images before and after one in the order of upload; null at the ends."""

    previous = serializers.IntegerField(allow_null=True)
    next = serializers.IntegerField(allow_null=True)


class ImportOutput(serializers.Serializer[ImportReport]):
    """What became of each uploaded file."""

    imported = inline_serializer(
        "ImportedImage",
        {"id": serializers.IntegerField(), "name": serializers.CharField()},
        many=True,
    )
    duplicates = inline_serializer(
        "DuplicateImage",
        {"file": serializers.CharField(), "image": serializers.IntegerField()},
        many=True,
    )
    revisions = serializers.IntegerField()
    failed = inline_serializer(
        "FailedFile",
        {"file": serializers.CharField(), "message": serializers.CharField()},
        many=True,
    )
    notes = serializers.ListField(child=serializers.CharField())


class UploadInput(serializers.Serializer[Any]):
    files = serializers.ListField(child=serializers.FileField(), allow_empty=False)
    folders = serializers.ListField(
        child=serializers.CharField(allow_blank=True, max_length=LONGEST_FOLDER),
        required=False,
        help_text="the relative folder of each file, in the order of files: masks belong to the"
        " image in their own folder",
    )
    split = serializers.ChoiceField(Split.choices, required=False, allow_blank=True)
    culture = serializers.CharField(required=False, allow_blank=True, max_length=40)


def import_body(report: ImportReport) -> dict[str, Any]:
    """The JSON of a report."""
    return {
        "imported": [{"id": image.pk, "name": image.name} for image in report.imported],
        "duplicates": [{"file": file, "image": image.pk} for file, image in report.duplicates],
        "revisions": report.revisions,
        "failed": [{"file": file, "message": message} for file, message in report.failed],
        "notes": report.notes,
    }


class DatasetImages(LimitedUploads, APIView):
    """Images of a data set."""

    parser_classes = [MultiPartParser]
    pagination_class = OldestFirst  # read by the schema

    @extend_schema(
        parameters=[
            OpenApiParameter("split", str, enum=Split.values),
            OpenApiParameter("status", str, enum=STATUSES),
            OpenApiParameter("search", str, description="part of the name"),
        ],
        responses=ImageOutput(many=True),
    )
    def get(self, request: Request, pk: int) -> Response:
        """In order of upload, each with its state."""
        dataset = dataset_for(request.user, pk)
        asked = request.query_params
        split, status = asked.get("split", ""), asked.get("status", "")
        if split and split not in Split.values:
            raise BadInput(f"The split {split} is unknown; use {', '.join(Split.values)}.")
        if status and status not in STATUSES:
            raise BadInput(f"The status {status} is unknown; use {', '.join(STATUSES)}.")
        search = asked.get("search", "")
        if len(search) > LONGEST_NAME or "\0" in search:
            raise BadInput(f"search is a part of a name, at most {LONGEST_NAME} characters.")
        pages = self.pagination_class()
        rows = images_of(dataset, split, status, search)
        page = pages.paginate_queryset(rows, request, self) or []
        hidden = hidden_from(user_of(request), dataset)
        for image in page:
            if image.pk in hidden:
                hide_revisions(image)
        return pages.get_paginated_response(ImageOutput(page, many=True).data)

    @extend_schema(request={"multipart/form-data": UploadInput}, responses={201: ImportOutput})
    def post(self, request: Request, pk: int) -> Response:
        """Upload images, and masks and types by their names; several files per request."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        files = request.FILES.getlist("files")
        if not files:
            raise BadInput(
                "Send one or more files in the field files.", fields={"files": ["Missing."]}
            )
        report = images_import(
            dataset=dataset,
            files=[
                ImportFile(name=file.name or "unnamed", read=file.read, folder=folder)
                for file, folder in zip(files, _folders(request, len(files)), strict=True)
            ],
            uploaded_by=user_of(request),
            split=request.POST.get("split") or None,
            culture=request.POST.get("culture") or None,
        )
        return Response(import_body(report), status=201)


def _folders(request: Request, count: int) -> list[str]:
    """The folder of each of ``count`` files; it is compared and shown, never opened."""
    folders = request.POST.getlist("folders") or [""] * count
    if len(folders) != count:
        raise BadInput(
            f"{len(folders)} folders came with {count} files: send one for each file, or none.",
            fields={"folders": ["One for each file."]},
        )
    return [_checked_folder(folder) for folder in folders]


def _checked_folder(folder: str) -> str:
    parts = folder.split("/")
    if folder.startswith("/") or ".." in parts or len(folder) > LONGEST_FOLDER:
        raise BadInput(
            f"The folder {folder[:80]!r} cannot be used: send a relative path without .. and of "
            f"at most {LONGEST_FOLDER} characters.",
            fields={"folders": ["A relative path."]},
        )
    return "/".join(part for part in parts if part not in ("", "."))


class ImageDetail(APIView):
    """One image."""

    @extend_schema(responses=ImageDetailOutput)
    def get(self, request: Request, pk: int) -> Response:
        """The image with its state."""
        image_for(request.user, pk)
        image = image_with_state(pk)
        if held_check(image, user_of(request)) is not None:
            hide_revisions(image)
        return Response(ImageDetailOutput(image).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Delete the image with its predictions and revisions, for good."""
        image_delete(image=image_for(request.user, pk, Role.MANAGER))
        return Response(status=204)


class Neighbours(APIView):
    """Where to go from one image."""

    @extend_schema(responses=NeighboursOutput)
    def get(self, request: Request, pk: int) -> Response:
        """The ids of the images before and after it in its data set."""
        previous, following = neighbours_of(image_for(request.user, pk))
        return Response({"previous": previous, "next": following})


class Pixels(APIView):
    """The channels that the models and the editor see."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """Raw little-endian bytes, C order, CYX (X-Shape, X-Dtype, X-Channels), gzipped."""
        image = image_for(request.user, pk)
        channels = ",".join(model_channels(image.dataset.channels))
        tag = f'"{image.sha256[:32]}-{channels}"'
        if request.headers.get("If-None-Match") == tag:
            return _forever(HttpResponseNotModified(), tag)
        response = raw_response(request, image_array(image))
        response["X-Channels"] = channels
        return _forever(response, tag)


class Thumbnail(APIView):
    """A small picture for lists."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> HttpResponse:
        """PNG of at most 256 px: cytoplasm green, nucleus blue."""
        image = image_for(request.user, pk)
        tag = f'"{image.sha256[:32]}-small"'
        if request.headers.get("If-None-Match") == tag:
            return _forever(HttpResponseNotModified(), tag)
        return _forever(HttpResponse(image_thumbnail(image=image), content_type="image/png"), tag)


def _forever(response: HttpResponse, tag: str) -> HttpResponse:
    """Originals never change, so a browser may keep them; private, for they are access-checked."""
    response["ETag"] = tag
    response["Cache-Control"] = "private, max-age=3600"
    response["Vary"] = "Accept-Encoding, Cookie, Authorization"
    return response


urlpatterns = [
    path("datasets/<int:pk>/images/", DatasetImages.as_view()),
    path("images/<int:pk>/", ImageDetail.as_view()),
    path("images/<int:pk>/neighbours/", Neighbours.as_view()),
    path("images/<int:pk>/pixels/", Pixels.as_view()),
    path("images/<int:pk>/thumbnail/", Thumbnail.as_view()),
]

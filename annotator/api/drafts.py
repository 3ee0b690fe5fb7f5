"""Autosaved drafts and preferences over REST; everyone sees and writes only their own."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, image_for, user_of
from annotator.api.annotations import BINARY, parsed_document
from annotator.api.labels import AnyAccept, check_length, labels_of_bytes, raw_response
from annotator.api.parsers import StrictJSONParser
from annotator.api.uploads import LimitedUploads
from annotator.exceptions import BadInput, NotHere
from annotator.models import Draft, Image, Preference, Role
from annotator.services.drafts import (
    DraftContent,
    Replaces,
    draft_discard,
    draft_labels,
    draft_save,
    preferences_save,
)


class DraftInput(serializers.Serializer[Any]):
    """The part ``document`` of a draft. ``work`` is the browser's own: cells, regions, time.

    ``work.writer`` names the window that wrote it, which may always replace its own draft.
    """

    base = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, help_text="head revision the work began with"
    )
    prediction = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**63 - 1
    )
    replaces = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="saved_at of the draft last read or written, null when there was none: 409 "
        "when another is there. Left out, the newest wins",
    )
    saved_at = serializers.DateTimeField(help_text="by the author's clock; the newest draft wins")
    dtype = serializers.ChoiceField(["uint16", "uint32"])
    work = serializers.DictField()


class DraftOutput(serializers.Serializer[Draft]):
    image = serializers.IntegerField(source="image_id")
    base = serializers.IntegerField(source="base_number")
    prediction = serializers.IntegerField(source="prediction_id", allow_null=True)
    saved_at = serializers.DateTimeField()
    work = serializers.DictField(source="document")


class DraftRowOutput(serializers.Serializer[Draft]):
    """A draft in a list, without the work itself."""

    image = serializers.IntegerField(source="image_id")
    name = serializers.CharField(source="image.name")
    base = serializers.IntegerField(source="base_number")
    saved_at = serializers.DateTimeField()


def _draft_of(request: Request, image: Image) -> Draft:
    draft = Draft.objects.filter(image=image, author=user_of(request)).first()
    if draft is None:
        raise NotHere(f"You have no draft of {image.name}.")
    return draft


class ImageDraft(LimitedUploads, APIView):
    """The caller's unsubmitted work on an image."""

    parser_classes = [MultiPartParser]

    @extend_schema(responses=DraftOutput)
    def get(self, request: Request, pk: int) -> Response:
        """The draft; its labels are at ``draft/labels/``. 404 when there is none."""
        return Response(DraftOutput(_draft_of(request, image_for(request.user, pk))).data)

    @extend_schema(
        request={
            "multipart/form-data": inline_serializer(
                "DraftRequest", {"labels": serializers.FileField(), "document": DraftInput()}
            )
        },
        responses=DraftOutput,
    )
    def put(self, request: Request, pk: int) -> Response:
        """Save a draft; may be repeated. 409 where a newer one is, or another than `replaces`."""
        image = image_for(request.user, pk, Role.ANNOTATOR)
        document = parsed_document(request, DraftInput)
        part = request.FILES.get("labels")
        if part is None:
            raise BadInput(
                "The part labels is missing: send it as a file.", fields={"labels": ["Missing."]}
            )
        check_length(part.size, image)
        prediction = None
        if document.get("prediction") is not None:
            prediction = image.predictions.filter(pk=document["prediction"]).first()
        draft = draft_save(
            image=image,
            author=user_of(request),
            content=DraftContent(
                labels=labels_of_bytes(part.read(), image, document["dtype"]),
                document=document["work"],
                base_number=document["base"],
                saved_at=document["saved_at"],
                prediction=prediction,
                replaces=Replaces(document["replaces"]) if "replaces" in document else None,
            ),
        )
        return Response(DraftOutput(draft).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Forget the draft; nothing happens when there is none."""
        draft_discard(image=image_for(request.user, pk), author=user_of(request))
        return Response(status=204)


class ImageDraftLabels(APIView):
    """The label image of the caller's draft."""

    content_negotiation_class = AnyAccept

    @extend_schema(responses=BINARY)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """Raw little-endian bytes (X-Shape, X-Dtype); X-Saved-At tells which save they are."""
        draft = _draft_of(request, image_for(request.user, pk))
        response = raw_response(request, draft_labels(draft))
        response["X-Saved-At"] = draft.saved_at.isoformat()
        return response


class DatasetDrafts(APIView):
    """The caller's drafts in a data set."""

    @extend_schema(responses=inline_serializer("DraftList", {"drafts": DraftRowOutput(many=True)}))
    def get(self, request: Request, pk: int) -> Response:
        """Newest first: work that waits to be gone on with."""
        dataset = dataset_for(request.user, pk)
        drafts = Draft.objects.filter(image__dataset=dataset, author=user_of(request))
        rows = drafts.select_related("image").defer("document")
        return Response({"drafts": [DraftRowOutput(row).data for row in rows]})


class DatasetPreferences(APIView):
    """How the caller looks at a data set: contrast per channel, colours, keys."""

    parser_classes = [StrictJSONParser]

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, pk: int) -> Response:
        """The values kept so far; {} at first."""
        dataset = dataset_for(request.user, pk)
        known = Preference.objects.filter(dataset=dataset, user=user_of(request)).first()
        return Response(known.values if known else {})

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def patch(self, request: Request, pk: int) -> Response:
        """Keep these values; keys not given stay."""
        dataset = dataset_for(request.user, pk)
        if not isinstance(request.data, dict):
            raise BadInput("Preferences are one JSON object.")
        known = preferences_save(dataset=dataset, user=user_of(request), values=request.data)
        return Response(known.values)


urlpatterns = [
    path("images/<int:pk>/draft/", ImageDraft.as_view()),
    path("images/<int:pk>/draft/labels/", ImageDraftLabels.as_view()),
    path("datasets/<int:pk>/drafts/", DatasetDrafts.as_view()),
    path("datasets/<int:pk>/preferences/", DatasetPreferences.as_view()),
]

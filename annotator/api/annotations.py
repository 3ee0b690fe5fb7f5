"""Revisions over REST: read the head, its labels and history; write under ``If-Match``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from numpy.typing import NDArray
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator import storage
from annotator.api.access import image_for, user_of
from annotator.api.cell_rows import CellOutput, told_cells
from annotator.api.labels import (
    AnyAccept,
    check_length,
    labels_of_bytes,
    labels_response,
    most_bytes,
)
from annotator.api.uploads import LimitedUploads
from annotator.exceptions import BadInput, NoBaseRevision, NotHere, TooLarge, UnusableLabels
from annotator.models import GALLERY, Image, Revision, Role, TypeSource
from annotator.selectors.annotations import head_revision, history_of
from annotator.selectors.queue import held_check
from annotator.services.annotations import RevisionDetails, revision_submit, types_by_overlap
from annotator.services.cells import check_not_held
from annotator.services.shown import begun_with, with_newer
from inference.strict import strict_json

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description='Base revision: "3"'
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="return=minimal: the revision is answered without its cells (RFC 7240)",
)
NEWER = OpenApiParameter(
    "prediction",
    int,
    description="of a revision that is complete in parts: the cells of this newer prediction where "
    "nothing is complete, instead of those that were there when the revision was made",
)
LONGEST_DOCUMENT = 64 * 2**20  # bytes; half a million cells
BINARY = {(200, "application/octet-stream"): OpenApiTypes.BINARY}


# DRF has attributes called parent and source, which mypy takes these fields for.
class RevisionOutput(serializers.Serializer[Any]):
    """A revision without its cells."""

    revision = serializers.IntegerField()
    parent = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    author = serializers.CharField(allow_null=True)
    source = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    complete_regions = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()), allow_null=True
    )
    created_at = serializers.DateTimeField(allow_null=True)
    prediction = serializers.IntegerField(
        allow_null=True,
        required=False,
        help_text="what its author began with; of the head, where it is complete in parts, whose "
        "cells it holds elsewhere",
    )


class AnnotationOutput(RevisionOutput):
    cells = CellOutput(many=True)


class WrittenOutput(RevisionOutput):
    """A new revision; without its cells for those that prefer that."""

    cells = CellOutput(many=True, required=False)


class Unchecked(serializers.ListField):
    """A list whose members are checked elsewhere: one by one it would cost thousands of calls."""

    def to_internal_value(self, data: Any) -> list[Any]:
        """``data``, when it is a list."""
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        return data


class DocumentInput(serializers.Serializer[Any]):
    """What comes beside the labels; ``cells`` are checked by hand."""

    shape = serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2)
    dtype = serializers.ChoiceField(["uint16", "uint32"])
    cells = Unchecked(child=serializers.JSONField())
    complete_regions = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=4, max_length=4),
        allow_null=True,
        required=False,
        default=None,
    )
    seconds_spent = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=10**6
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")
    prediction = serializers.IntegerField(required=False, allow_null=True)
    in_passing = serializers.BooleanField(
        required=False,
        default=False,
        help_text="only cells that one was asked about one by one: where the image is complete in "
        "parts, it counts as such answers do and keeps its place in the queue",
    )


@dataclass(frozen=True)
class Submission:
    """Labels with their types and details, as revision_submit takes them."""

    labels: NDArray[Any]
    cell_types: dict[int, str | None]
    details: RevisionDetails


def etag(number: int) -> str:
    """The ETag of revision ``number``."""
    return f'"{number}"'


def base_number(request: Request) -> int:
    """The revision that ``If-Match`` names; NoBaseRevision when the header is missing."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise NoBaseRevision(
            'Say which revision you began with: If-Match: "3", or "0" for an image without any.'
        )
    found = re.fullmatch(r'(?:W/)?"(\d{1,9})"|(\d{1,9})', header)
    if found is None:
        raise BadInput(f"If-Match: {header} is no revision number in quotes.")
    return int(found[1] or found[2])


def submission_of(request: Request, image: Image, from_queue: bool = False) -> Submission:
    """Read the multipart parts ``labels`` and ``document`` (BadInput, UnusableLabels, TooLarge);
    what is ``from_queue`` is nothing in passing.
    """
    document = parsed_document(request, DocumentInput)
    if document["shape"] != [image.height, image.width]:
        raise UnusableLabels(
            f"The labels have the shape {document['shape']} but the image has "
            f"[{image.height}, {image.width}]."
        )
    part = request.FILES.get("labels")
    if part is None:
        raise BadInput(
            "The part labels is missing: send it as a file.", fields={"labels": ["Missing."]}
        )
    check_length(part.size, image)
    types, sources = _cells_of(document["cells"])
    prediction = None
    if document.get("prediction") is not None:
        prediction = image.predictions.filter(pk=document["prediction"]).first()
    by_session = isinstance(request.successful_authenticator, SessionAuthentication)
    regions = document["complete_regions"]
    in_passing = document["in_passing"] and regions is not None and not from_queue
    details = RevisionDetails(
        source=GALLERY if in_passing else "browser" if by_session else "rest",
        type_sources=sources,
        complete_regions=regions,
        seconds_spent=document.get("seconds_spent"),
        note="" if in_passing else document["note"],  # which undo reads
        prediction=prediction,
        keeps_place=in_passing,
    )
    return Submission(labels_of_bytes(part.read(), image, document["dtype"]), types, details)


def parsed_document(
    request: Request, serializer: type[serializers.Serializer[Any]]
) -> dict[str, Any]:
    """The part ``document``, JSON as a file or a field, checked by ``serializer``."""
    raw = request.FILES.get("document") or request.POST.get("document")
    if raw is None:
        raise BadInput("The part document is missing.", fields={"document": ["Missing."]})
    if not isinstance(raw, str) and raw.size > LONGEST_DOCUMENT:
        raise TooLarge(f"The part document is larger than {LONGEST_DOCUMENT // 2**20} MB.")
    try:
        text = raw if isinstance(raw, str) else raw.read().decode()
        parsed = strict_json(text)
    except ValueError as error:
        raise BadInput(
            f"The part document is no JSON that can be used: {str(error)[:120]}.",
            fields={"document": ["No JSON."]},
        ) from error
    checked = serializer(data=parsed)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def _cells_of(cells: list[Any]) -> tuple[dict[int, str | None], dict[int, str]]:
    types: dict[int, str | None] = {}
    sources: dict[int, str] = {}
    for cell in cells:
        label = cell.get("label") if isinstance(cell, dict) else None
        if not isinstance(label, int) or isinstance(label, bool) or label < 1 or label in types:
            raise BadInput(f"cells: {str(cell)[:80]} has no label of its own, a number from 1.")
        kind, source = cell.get("type"), cell.get("type_source")
        if not isinstance(kind, str | None) or source not in (None, "", *TypeSource.values):
            raise BadInput(f"cells: the type or type_source of cell {label} cannot be used.")
        types[label] = kind or None
        if source:
            sources[label] = source
    return types, sources


def revision_body(revision: Revision | None) -> dict[str, Any]:
    """The JSON of a revision without its cells; number 0 when there is none."""
    if revision is None:
        absent = dict.fromkeys(("parent", "author", "complete_regions", "created_at", "prediction"))
        return {"revision": 0, "source": "", **absent}
    return {
        "revision": revision.number,
        "parent": revision.parent.number if revision.parent else None,
        "author": revision.author.get_username() if revision.author else None,
        "source": revision.source,
        "complete_regions": revision.complete_regions,
        "created_at": revision.created_at,
        "prediction": revision.prediction_id,
    }


def annotation_body(revision: Revision | None) -> dict[str, Any]:
    """The JSON of a revision with its cells; number 0 when there is none."""
    columns = ("label", "type__name", "type_source", "bbox", "area", "centroid")
    # Plain rows: there may be thousands, and model instances cost more than the query.
    cells = revision.cells.order_by("label").values(*columns) if revision else ()
    return revision_body(revision) | {
        "cells": [{"type": cell.pop("type__name"), **cell} for cell in cells]
    }


def written_response(
    request: Request, revision: Revision, cells: list[Any] | None = None, **beside: Any
) -> Response:
    """The answer to a write: the revision, or ``{"annotation": revision, **beside}``.

    ``cells`` where the revision has no rows. Without the cells, which the writer knows, where
    ``Prefer: return=minimal`` says so.
    """
    headers = {"ETag": etag(revision.number)}
    if _wants_minimal(request):
        body = revision_body(revision)
        headers["Preference-Applied"] = "return=minimal"
    elif cells is not None:
        body = revision_body(revision) | {"cells": cells}
    else:
        body = annotation_body(revision)
    return Response({"annotation": body, **beside} if beside else body, 201, headers=headers)


def _wants_minimal(request: Request) -> bool:
    """Whether the first ``return`` preference (RFC 7240) is ``minimal``."""
    prefer = request.headers.get("Prefer", "")
    found = re.search(r'(?:^|,)\s*return\s*=\s*"?([\w-]+)', prefer, re.IGNORECASE)
    return found is not None and found[1].lower() == "minimal"


def _shown_head(request: Request, image: Image) -> Revision | None:
    """The head revision, unless the caller is being measured by it."""
    if held_check(image, user_of(request)) is not None:
        return None
    return head_revision(image)


def _newer(request: Request) -> int | None:
    """The prediction whose cells are to stand where nobody has answered (BadInput)."""
    asked = request.query_params.get("prediction", "")
    if not re.fullmatch(r"[0-9]{0,18}", asked):
        raise BadInput("prediction is the id of a prediction of the image.")
    return int(asked) if asked else None


class Annotation(LimitedUploads, APIView):
    """The head revision of an image."""

    parser_classes = [MultiPartParser]

    @extend_schema(parameters=[NEWER], responses=AnnotationOutput)
    def get(self, request: Request, pk: int) -> Response:
        """The head revision with its cells; revision 0 when nobody has annotated the image."""
        image, newer = image_for(request.user, pk), _newer(request)
        head = _shown_head(request, image)
        state = with_newer(head, newer) if head and newer else None
        if state is None:
            body = annotation_body(head)
        else:
            cells = told_cells(image, state.labels, state.types, state.sources)
            body = revision_body(head) | {"cells": cells}
        if head is not None and head.complete_regions is not None:
            body["prediction"] = begun_with(head)
        return Response(body, headers={"ETag": etag(head.number if head else 0)})

    @extend_schema(
        request={
            "multipart/form-data": inline_serializer(
                "AnnotationInput",
                {"labels": serializers.FileField(), "document": DocumentInput()},
            )
        },
        parameters=[IF_MATCH, PREFER],
        responses={201: WrittenOutput},
    )
    def put(self, request: Request, pk: int) -> Response:
        """Append a revision. 412 when the head is not the one named by If-Match."""
        image = image_for(request.user, pk, Role.ANNOTATOR)
        number = base_number(request)
        sent, author = submission_of(request, image), user_of(request)
        if sent.details.keeps_place:
            check_not_held(image, author)
        revision = revision_submit(
            image=image,
            author=author,
            labels=sent.labels,
            cell_types=sent.cell_types,
            base_number=number,
            details=sent.details,
        )
        return written_response(request, revision)


class AnnotationLabels(APIView):
    """The label image of the head revision."""

    content_negotiation_class = AnyAccept

    @extend_schema(parameters=[NEWER], responses=BINARY)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """Raw little-endian bytes (X-Shape, X-Dtype), or TIFF or PNG by Accept."""
        image, newer = image_for(request.user, pk), _newer(request)
        revision = _shown_head(request, image)
        if revision is None:
            raise NotHere(f"{image.name} has no annotation yet.")
        state = with_newer(revision, newer) if newer else None
        labels = state.labels if state else storage.labels_get(revision.labels_key)
        response = labels_response(request, labels, image.name)
        response["ETag"] = etag(revision.number)
        return response

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[IF_MATCH, PREFER],
        responses={201: WrittenOutput},
    )
    def put(self, request: Request, pk: int) -> Response:
        """Append a revision from a TIFF, PNG or raw body; cells keep types by overlap."""
        image = image_for(request.user, pk, Role.ANNOTATOR)
        number = base_number(request)
        # Read no further than labels can reach, whatever length the client named or left out.
        content = request._request.read(most_bytes(image) + 1)
        check_length(len(content), image)
        labels = labels_of_bytes(content, image)
        types, sources = types_by_overlap(image=image, labels=labels)
        # A label file says nothing of regions: what was complete before still is.
        regions = image.revisions.filter(number=number).values_list("complete_regions", flat=True)
        revision = revision_submit(
            image=image,
            author=user_of(request),
            labels=labels,
            cell_types=types,
            base_number=number,
            details=RevisionDetails(type_sources=sources, complete_regions=regions.first()),
        )
        return written_response(request, revision)


class AnnotationHistory(APIView):
    """All revisions of an image."""

    @extend_schema(responses=RevisionOutput(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """Newest first, without cells."""
        image = image_for(request.user, pk)
        revisions = history_of(image) if _shown_head(request, image) else ()
        return Response([revision_body(revision) for revision in revisions])


urlpatterns = [
    path("images/<int:pk>/annotation/", Annotation.as_view()),
    path("images/<int:pk>/annotation/labels/", AnnotationLabels.as_view()),
    path("images/<int:pk>/annotation/history/", AnnotationHistory.as_view()),
]

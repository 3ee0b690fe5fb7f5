"""The gallery over REST: all cells of a data set in an order, pictures of some, one in detail."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.http import HttpResponse
from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from numpy.typing import NDArray
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, image_for, user_of
from annotator.api.labels import GZIP_LEVEL, takes_gzip
from annotator.exceptions import BadInput, NotHere
from annotator.models import Dataset, Image, Prediction, Revision, Split
from annotator.selectors.cells import (
    EMBEDDINGS,
    MEASURES,
    SEEN_BY,
    UNTYPED,
    Asked,
    Cells,
    cell_in_detail,
    cells_of,
    hidden_from,
)
from annotator.selectors.queue import held_check
from annotator.services.crops import PICTURE_PX, crops_of
from inference import likeness
from inference.outlines import SIDE

SORTS = ("image", "uncertainty", "type", "outliers", "nearest")
MOST_CROPS = 200  # cells in one answer
MOST_IMAGES = 40  # in one answer: each is decoded as a whole
_TOO_MANY = f"Ask for {MOST_CROPS} cells of {MOST_IMAGES} images at most."
NO_TYPE = "none"
UNKNOWN = -1  # in the column of uncertainties


class ListInput(serializers.Serializer[Any]):
    sort = serializers.ChoiceField(SORTS, default="image")
    near = serializers.RegexField(
        r"^\d{1,18}:\d{1,10}$",
        required=False,
        help_text="IMAGE:LABEL of the cell that sort=nearest begins with",
    )
    type = serializers.CharField(
        default="", allow_blank=True, help_text=f"a cell type's name, or {NO_TYPE}"
    )
    image = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    split = serializers.ChoiceField(Split.choices, default="", allow_blank=True)
    seen_by = serializers.ChoiceField(SEEN_BY[1:], default="", allow_blank=True)
    answered = serializers.BooleanField(required=False, allow_null=True, default=None)
    min_uncertainty = serializers.FloatField(default=0, min_value=0, max_value=1)


_numbers = serializers.ListField(child=serializers.IntegerField())


class GalleryOutput(serializers.Serializer[Any]):
    """Cells as columns of equal length, in the order asked for.

    A cell is named by its image and label, as long as the image shows the same revision (or,
    without one, the same prediction).
    """

    types = serializers.ListField(child=serializers.CharField())
    images = inline_serializer(
        "GalleryImage",
        {
            "id": serializers.IntegerField(),
            "name": serializers.CharField(),
            "split": serializers.CharField(),
            "culture": serializers.CharField(allow_blank=True),
            "revision": serializers.IntegerField(help_text="0: its prediction's cells are listed"),
            "prediction": serializers.IntegerField(allow_null=True),
        },
        many=True,
    )
    image = serializers.ListField(child=serializers.IntegerField(), help_text="row of images")
    label = serializers.ListField(child=serializers.IntegerField())  # type: ignore[assignment]
    type = serializers.ListField(
        child=serializers.IntegerField(), help_text=f"row of types; {UNTYPED}: none"
    )
    uncertainty = serializers.ListField(
        child=serializers.IntegerField(), help_text=f"per mille; {UNKNOWN}: unknown"
    )
    answered = serializers.ListField(
        child=serializers.IntegerField(), help_text="1: somebody answered for it"
    )
    left_off = serializers.IntegerField(help_text="cells of older images, beyond the list's room")
    looks = serializers.ChoiceField(
        ("", EMBEDDINGS, MEASURES),
        help_text="what outliers and nearest were told by; measures where too few cells have an "
        "embedding: area, length, fill and uncertainty",
    )


class CropInput(serializers.Serializer[Any]):
    """Cells of one image as it was listed."""

    image = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    revision = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    prediction = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=2**63 - 1
    )
    labels = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**32 - 1),
        max_length=MOST_CROPS,
        error_messages={"max_length": _TOO_MANY},
    )


class CropsInput(serializers.Serializer[Any]):
    cells = CropInput(  # type: ignore[call-arg]
        many=True, max_length=MOST_IMAGES, error_messages={"max_length": _TOO_MANY}
    )


class PictureOutput(serializers.Serializer[Any]):
    picture = serializers.CharField(help_text=f"JPEG of {PICTURE_PX} px in base64")
    outline = serializers.CharField(
        allow_blank=True, help_text=f"SVG path in a square of {SIDE} units over the picture"
    )
    side = serializers.IntegerField(help_text="px of the image that a side shows")


class CropOutput(PictureOutput):
    image = serializers.IntegerField()
    label = serializers.IntegerField()  # type: ignore[assignment]


class CropsOutput(serializers.Serializer[Any]):
    crops = CropOutput(many=True)


class CellDetailOutput(serializers.Serializer[Any]):
    """One cell, and what the models say of it where they see one in its place."""

    type = serializers.CharField(allow_null=True)
    type_source = serializers.CharField(allow_blank=True)
    area = serializers.IntegerField(help_text="px²")
    centroid = serializers.ListField(child=serializers.FloatField())
    score = serializers.FloatField(allow_null=True)
    probabilities = serializers.DictField(child=serializers.FloatField())
    uncertainty = serializers.FloatField(allow_null=True)
    terms = serializers.DictField(child=serializers.FloatField())
    seen_by = serializers.CharField(allow_blank=True)
    committee = serializers.BooleanField(help_text="whether two models looked at the image")


class DatasetCells(APIView):
    """All cells of a data set."""

    @extend_schema(parameters=[ListInput], responses=GalleryOutput)
    def get(self, request: Request, pk: int) -> HttpResponse:
        """Of each image the head revision's cells, else the newest prediction's."""
        dataset = dataset_for(request.user, pk)
        sent = ListInput(data=request.query_params)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        types = list(dataset.types.values_list("name", flat=True))
        hidden = hidden_from(user_of(request), dataset)
        near = _near(asked.get("near")) if asked["sort"] == "nearest" else None
        looked = _read(dataset, _asked(asked, types, hidden), asked["sort"], near)
        cells = looked.cells.rows(_order(looked, asked["sort"]))
        return _packed(request, _gallery_body(cells, types, looked.told_by))


def _packed(request: Request, body: dict[str, Any]) -> HttpResponse:
    """Long columns as JSON, gzipped for clients that ask for it: quickly, for they wait."""
    raw = json.dumps(body, separators=(",", ":")).encode()
    zipped = takes_gzip(request.headers.get("Accept-Encoding", "identity"))
    response = HttpResponse(
        gzip.compress(raw, GZIP_LEVEL, mtime=0) if zipped else raw,
        content_type="application/json",
    )
    if zipped:
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding, Cookie, Authorization"
    response["Cache-Control"] = "private, no-cache"
    return response


def _asked(sent: dict[str, Any], types: list[str], hidden: list[int]) -> Asked:
    kind = None
    if sent["type"]:
        known = {name: row for row, name in enumerate(types)} | {NO_TYPE: UNTYPED}
        if sent["type"] not in known:
            raise BadInput(f"There is no type {sent['type']}; use {', '.join(known)}.")
        kind = known[sent["type"]]
    return Asked(
        type=kind,
        image=sent.get("image"),
        split=sent["split"],
        seen_by=sent["seen_by"],
        answered=sent["answered"],
        least_uncertainty=sent["min_uncertainty"],
        hidden=hidden,
    )


@dataclass(frozen=True)
class _Looked:
    """Cells, what their looks are told by (orders that go by looks), and whose others are near."""

    cells: Cells
    told_by: str = ""
    near: Cells | None = None


def _read(dataset: Dataset, asked: Asked, sort: str, near: tuple[int, int] | None) -> _Looked:
    """The cells, with what the order needs.

    Looks are told by embeddings where most cells have one, and the one in question; else by what
    is measured of every cell.
    """
    if sort not in ("outliers", "nearest"):
        return _Looked(cells_of(dataset, asked))
    cells = cells_of(dataset, asked, EMBEDDINGS)
    one = _one(dataset, asked, near, EMBEDDINGS) if near else None
    known = np.isfinite(cells.vectors).all(axis=1)
    if 2 * known.sum() > len(known) and (one is None or np.isfinite(one.vectors).all()):
        return _Looked(cells, EMBEDDINGS, one)
    one = _one(dataset, asked, near, MEASURES) if near else None
    return _Looked(cells_of(dataset, asked, MEASURES), MEASURES, one)


def _near(sent: str | None) -> tuple[int, int]:
    """Image and label of IMAGE:LABEL."""
    if sent is None:
        raise BadInput("Say which cell the others should be near: near=IMAGE:LABEL.")
    image, label = map(int, sent.split(":"))
    return image, label


def _one(dataset: Dataset, asked: Asked, named: tuple[int, int], look: str) -> Cells:
    """One cell, whether the filters let it pass or not: others may be looked at beside it."""
    there = cells_of(dataset, Asked(image=named[0], hidden=asked.hidden), look)
    found = np.flatnonzero(there.label == named[1])
    if not len(found):
        raise BadInput(f"The cell {named[0]}:{named[1]} is not there any more; choose another.")
    return there.rows(found[:1])


def _order(looked: _Looked, sort: str) -> NDArray[Any]:
    """Rows in the order asked for."""
    cells = looked.cells
    doubt = -np.nan_to_num(cells.uncertainty, nan=-1.0)
    if sort == "uncertainty":
        return np.argsort(doubt, kind="stable")
    if sort == "type":
        return np.lexsort((doubt, np.where(cells.type == UNTYPED, np.inf, cells.type)))
    if sort == "image":
        return np.arange(len(cells.label))
    if looked.near is None:
        unusual = likeness.unusual(_looks(looked.told_by, cells), cells.type)
        return np.argsort(-unusual, kind="stable")
    looks = _looks(looked.told_by, cells, looked.near)
    apart = likeness.distances(looks, len(looks) - 1)[:-1]
    return np.argsort(apart, kind="stable")  # NaN comes last


def _looks(told_by: str, *parts: Cells) -> NDArray[np.float32]:
    """Vectors (n, …) of the cells of all parts, to be compared with each other."""
    if told_by == EMBEDDINGS:
        return np.concatenate([each.vectors for each in parts])
    return likeness.measures(
        np.concatenate([each.area for each in parts]),
        np.concatenate([each.boxes for each in parts]),
        np.concatenate([each.uncertainty for each in parts]),
    )


def _gallery_body(cells: Cells, types: list[str], told_by: str) -> dict[str, Any]:
    """By hand: a serializer takes seconds for a hundred thousand cells."""
    doubt = np.nan_to_num(cells.uncertainty * 1000, nan=UNKNOWN)
    return {
        "types": types,
        "images": [
            {
                "id": shown.image,
                "name": shown.name,
                "split": shown.split,
                "culture": shown.culture,
                "revision": shown.number,
                "prediction": shown.prediction,
            }
            for shown in cells.images
        ],
        "image": cells.image.tolist(),
        "label": cells.label.tolist(),
        "type": cells.type.tolist(),
        "uncertainty": doubt.round().astype(np.int16).tolist(),
        "answered": cells.answered.astype(np.int8).tolist(),
        "left_off": cells.left_off,
        "looks": told_by,
    }


class Crops(APIView):
    """Pictures of cells."""

    @extend_schema(request=CropsInput, responses=CropsOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Pictures with outlines of up to 200 cells of 40 images; what is gone is left out.

        Changes nothing: it is a POST for the length of the list.
        """
        dataset = dataset_for(request.user, pk)
        sent = CropsInput(data=request.data)
        sent.is_valid(raise_exception=True)
        cells = sent.validated_data["cells"]
        if sum(len(each["labels"]) for each in cells) > MOST_CROPS:
            raise BadInput(_TOO_MANY)
        images = (
            Image.objects.filter(dataset=dataset)
            .select_related("dataset")
            .in_bulk([each["image"] for each in cells])
        )
        hidden = hidden_from(user_of(request), dataset)
        found = [
            {"image": each["image"], "label": label, **crop}
            for each in cells
            if each["image"] in images and not (each["revision"] and each["image"] in hidden)
            for label, crop in _crops(images[each["image"]], each).items()
        ]
        return Response({"crops": found})


def _crops(image: Image, asked: dict[str, Any]) -> dict[int, dict[str, Any]]:
    key = _labels_key(image, asked["revision"], asked.get("prediction"))
    return crops_of(image=image, labels_key=key, labels=asked["labels"]) if key else {}


def _labels_key(image: Image, revision: int, prediction: int | None) -> str | None:
    """Where the label image lies that a list named."""
    if revision:
        rows = Revision.objects.filter(image=image, number=revision)
        return rows.values_list("labels_key", flat=True).first()
    found = Prediction.objects.filter(image=image, pk=prediction or 0)
    return found.values_list("labels_key", flat=True).first()


class CellDetail(APIView):
    """One cell."""

    @extend_schema(responses=CellDetailOutput)
    def get(self, request: Request, pk: int, label: int) -> Response:
        """A cell of the image's head revision, else of its newest prediction."""
        image = image_for(request.user, pk)
        measured = held_check(image, user_of(request)) is not None
        found = cell_in_detail(image, label, hidden=measured)
        if found is None:
            raise NotHere(f"{image.name} has no cell {label} any more.")
        return Response(found)


urlpatterns = [
    path("datasets/<int:pk>/cells/", DatasetCells.as_view()),
    path("datasets/<int:pk>/cells/crops/", Crops.as_view()),
    path("images/<int:pk>/cells/<int:label>/", CellDetail.as_view()),
]

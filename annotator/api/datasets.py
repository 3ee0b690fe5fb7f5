"""Data sets over REST."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, user_of
from annotator.api.pagination import NewestFirst
from annotator.exceptions import CytoloopError
from annotator.models import Asking, Dataset, Family, Role, Split, Stage
from annotator.naming import Kind, check_pattern, file_role, parse_name, split_of
from annotator.selectors.datasets import NAMES, RATE, Counts, dataset_counts, datasets_of
from annotator.services.datasets import DEFAULT_PATTERN, dataset_create, dataset_update
from annotator.services.queue import queue_reask

PREVIEW_NAMES = 5000


class TypeOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    index = serializers.IntegerField()
    color = serializers.CharField()


class DatasetOutput(serializers.Serializer[Any]):
    """A data set from ``selectors.datasets.datasets_of``."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    channels = serializers.ListField(child=serializers.CharField())
    types = TypeOutput(many=True)
    type_pattern = serializers.CharField(allow_blank=True)
    role = serializers.ChoiceField(Role.choices)
    retrain_after_cells = serializers.IntegerField()
    retrain_every_hours = serializers.IntegerField(allow_null=True)
    auto_promote = serializers.BooleanField()
    type_margin = serializers.FloatField(
        help_text="what a single type may lose of its F1 in a promotion, 0 … 1"
    )
    lease_minutes = serializers.IntegerField()
    asking = serializers.ChoiceField(
        Asking.choices, help_text="what an annotator is handed at a time"
    )
    strategy = serializers.CharField(help_text="how it is chosen: a name of strategies/")
    region_minutes = serializers.IntegerField(help_text="of work that a region should be")
    gold_every = serializers.IntegerField(
        help_text="one ask in so many has a known truth, which measures the annotator; 0: none"
    )
    repeat_every = serializers.IntegerField(
        help_text="one ask in so many is one that the same person answered before; 0: none"
    )
    created_at = serializers.DateTimeField()
    counts = inline_serializer(
        "Counts",
        {name: serializers.IntegerField() for name in NAMES} | {RATE: serializers.FloatField()},
    )
    versions = inline_serializer(
        "CurrentVersions",
        {family: serializers.CharField(allow_null=True) for family in Family.values},
    )
    ready = serializers.ListField(
        child=serializers.CharField(),
        help_text="Versions newer than the current ones that a manager may promote: not worse",
    )


class TypeInput(serializers.Serializer[Any]):
    id = serializers.IntegerField(required=False)
    name = serializers.CharField(required=False, max_length=40)
    color = serializers.CharField(required=False, max_length=7)


class DatasetInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=80)
    channels = serializers.ListField(child=serializers.CharField(max_length=20), max_length=8)
    types = serializers.ListField(
        child=serializers.CharField(max_length=40), max_length=100, default=list
    )
    type_pattern = serializers.CharField(max_length=200, allow_blank=True, default=DEFAULT_PATTERN)


class DatasetChange(serializers.Serializer[Any]):
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    type_pattern = serializers.CharField(required=False, allow_blank=True, max_length=200)
    retrain_after_cells = serializers.IntegerField(required=False, min_value=0, max_value=10**9)
    retrain_every_hours = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=10**6
    )
    auto_promote = serializers.BooleanField(required=False)
    type_margin = serializers.FloatField(required=False, min_value=0, max_value=1)
    lease_minutes = serializers.IntegerField(required=False, min_value=1, max_value=10**5)
    asking = serializers.ChoiceField(Asking.choices, required=False)
    strategy = serializers.CharField(required=False, max_length=40)
    region_minutes = serializers.IntegerField(required=False, min_value=1, max_value=480)
    gold_every = serializers.IntegerField(required=False, min_value=0, max_value=10**5)
    repeat_every = serializers.IntegerField(required=False, min_value=0, max_value=10**5)
    channels = serializers.ListField(
        child=serializers.CharField(max_length=20), required=False, max_length=8
    )
    types = TypeInput(many=True, required=False)


class PreviewInput(serializers.Serializer[Any]):
    names = serializers.ListField(
        child=serializers.CharField(max_length=1000), max_length=PREVIEW_NAMES
    )
    pattern = serializers.CharField(required=False, allow_blank=True, max_length=200)


class PreviewedName(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(allow_null=True)
    culture = serializers.CharField(allow_null=True)
    batch = serializers.CharField(allow_null=True)
    well = serializers.CharField(allow_null=True)
    field = serializers.CharField(allow_null=True)
    split = serializers.ChoiceField(Split.choices, allow_null=True)
    kind = serializers.ChoiceField([(kind.value, kind.value) for kind in Kind])
    message = serializers.CharField(allow_null=True)


def dataset_body(dataset: Any, counts: Counts, user: User | AnonymousUser) -> dict[str, Any]:
    """The JSON of a data set read by ``datasets_of(user)``."""
    own = dataset.own_memberships
    current = {
        version.family: version.version
        for version in dataset.usable_versions
        if version.stage == Stage.CURRENT
    }
    extra = {
        "role": Role.MANAGER if user.is_superuser else own[0].role,
        "counts": counts,
        "versions": {family: current.get(family) for family in Family.values},
        "ready": _ready(dataset),
        "types": dataset.types.all(),
    }
    fields = list(map(str, DatasetOutput().get_fields()))
    row = {name: getattr(dataset, name) for name in fields if name not in extra} | extra
    return dict(DatasetOutput(row).data)


def _ready(dataset: Any) -> list[str]:
    """Candidates that passed the gate and are newer than their family's current version."""
    newest = {v.family: v for v in reversed(dataset.usable_versions)}
    return sorted(v.version for v in newest.values() if v.stage == Stage.CANDIDATE)


def _one(request: Request, dataset_id: int) -> dict[str, Any]:
    dataset = datasets_of(request.user).get(pk=dataset_id)
    return dataset_body(dataset, dataset_counts([dataset_id])[dataset_id], request.user)


class Datasets(APIView):
    """The data sets of the caller."""

    pagination_class = NewestFirst  # read by the schema

    @extend_schema(responses=DatasetOutput(many=True))
    def get(self, request: Request) -> Response:
        """Newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(datasets_of(request.user), request, self) or []
        counts = dataset_counts([dataset.pk for dataset in page])
        rows = [dataset_body(dataset, counts[dataset.pk], request.user) for dataset in page]
        return pages.get_paginated_response(rows)

    @extend_schema(request=DatasetInput, responses={201: DatasetOutput})
    def post(self, request: Request) -> Response:
        """Make a data set; the caller becomes its manager."""
        sent = DatasetInput(data=request.data)
        sent.is_valid(raise_exception=True)
        dataset = dataset_create(**sent.validated_data, owner=user_of(request))
        return Response(_one(request, dataset.pk), status=201)


class DatasetDetail(APIView):
    """One data set."""

    @extend_schema(responses=DatasetOutput)
    def get(self, request: Request, pk: int) -> Response:
        """Settings, counts and current versions."""
        dataset_for(request.user, pk)
        return Response(_one(request, pk))

    @extend_schema(request=DatasetChange, responses=DatasetOutput)
    def patch(self, request: Request, pk: int) -> Response:
        """Change settings; add, rename or recolour types."""
        dataset = dataset_for(request.user, pk, Role.MANAGER)
        sent = DatasetChange(data=request.data)
        sent.is_valid(raise_exception=True)
        changes = dict(sent.validated_data)
        channels, types = changes.pop("channels", None), changes.pop("types", None)
        before = _asked_by(dataset)
        dataset_update(dataset=dataset, changes=changes, channels=channels, types=types)
        if _asked_by(dataset) != before:
            queue_reask(dataset=dataset)
        return Response(_one(request, pk))


def _asked_by(dataset: Dataset) -> tuple[str, str, int]:
    """The settings that say what is asked next."""
    return dataset.asking, dataset.strategy, dataset.region_minutes


class NamePreview(APIView):
    """What an import would make of file names."""

    @extend_schema(
        request=PreviewInput,
        responses=inline_serializer("Preview", {"names": PreviewedName(many=True)}),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Read ``names`` by ``pattern``, else by the data set's own."""
        dataset = dataset_for(request.user, pk)
        sent = PreviewInput(data=request.data)
        sent.is_valid(raise_exception=True)
        pattern = sent.validated_data.get("pattern", dataset.type_pattern)
        check_pattern(pattern)
        types = list(dataset.types.values_list("name", flat=True))
        names = sent.validated_data["names"]
        return Response({"names": [_preview(name, pattern, types, dataset) for name in names]})


def _preview(name: str, pattern: str, types: list[str], dataset: Dataset) -> dict[str, Any]:
    nothing = dict.fromkeys(PreviewedName().fields)
    try:
        role = file_role(name)
    except CytoloopError as error:
        return nothing | {"name": name, "kind": Kind.IGNORED, "message": error.message}
    if role.kind is Kind.IGNORED:
        return nothing | {"name": name, "kind": role.kind, "message": "Not imported."}
    if role.kind is not Kind.IMAGE:
        text = f"Belongs to {role.stem}."
        return nothing | {"name": name, "kind": role.kind, "message": text}
    parsed = parse_name(role.stem, pattern, types)
    message = None
    if parsed.unknown_type:
        known = ", ".join([*types, "mixed"])
        message = f"The type {parsed.type_word} is unknown ({known}); it would be refused."
    elif pattern and not parsed.matched:
        message = f"The name does not follow {pattern}: no type is known."
    return nothing | {
        "name": name,
        "type": parsed.culture if parsed.culture in types else None,
        "culture": parsed.culture or None,
        **{part: parsed.parts.get(part) for part in ("batch", "well", "field")},
        "split": split_of(parsed.group) if parsed.group else None,  # else by the file's content
        "kind": role.kind,
        "message": message,
    }


urlpatterns = [
    path("datasets/", Datasets.as_view()),
    path("datasets/<int:pk>/", DatasetDetail.as_view()),
    path("datasets/<int:pk>/name-preview/", NamePreview.as_view()),
]

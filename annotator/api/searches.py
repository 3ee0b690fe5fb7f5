"""Searches for training settings over REST: start, follow, cancel."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet, prefetch_related_objects
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, require, user_of
from annotator.api.runs import DATASET, DELETED, asked_datasets
from annotator.exceptions import NotHere
from annotator.models import Family, Role, Search, SearchStatus, SearchTrial, TrialState
from annotator.selectors.searches import curves, searches_of
from annotator.services.runs import RunRequest
from annotator.services.searches import MOST_TRIALS, SearchRequest, search_cancel, search_create


class TrialOutput(serializers.Serializer[SearchTrial]):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(TrialState.choices)
    params = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    value = serializers.FloatField(allow_null=True)
    scores = serializers.SerializerMethodField()
    metrics = serializers.SerializerMethodField()
    message = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_scores(self, trial: SearchTrial) -> list[float]:
        """The validation score after each epoch."""
        return [epoch["score"] for epoch in trial.epochs]

    def get_metrics(self, trial: SearchTrial) -> dict[str, float]:
        """Of the epoch whose weights it has, on the validation images; of the best one so far
        while it is trained.
        """
        if not trial.epochs:
            return {}
        best: dict[str, Any] = max(
            trial.epochs, key=lambda epoch: (epoch.get("kept", False), float(epoch["score"]))
        )
        return dict(best["metrics"])


class RangeOutput(serializers.Serializer[Any]):
    """The values a setting takes: from ``low`` to ``high``, or one of ``choices``."""

    low = serializers.FloatField(required=False)
    high = serializers.FloatField(required=False)
    log = serializers.BooleanField(required=False)
    step = serializers.FloatField(required=False)
    choices = serializers.ListField(child=serializers.FloatField(), required=False)


class SearchOutput(serializers.Serializer[Search]):
    """A search; ``best`` is the number of the best trial so far."""

    id = serializers.IntegerField()
    dataset = serializers.IntegerField(source="dataset_id")
    family = serializers.ChoiceField(Family.choices)
    status = serializers.ChoiceField(SearchStatus.choices)
    message = serializers.CharField()
    requested_by = serializers.SerializerMethodField()
    base = serializers.SerializerMethodField()
    wanted = serializers.IntegerField()
    over = serializers.SerializerMethodField()
    minutes = serializers.FloatField(allow_null=True)
    space = serializers.DictField(child=RangeOutput())
    best = serializers.SerializerMethodField()
    run = serializers.IntegerField(source="run_id", allow_null=True)
    candidate = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_requested_by(self, search: Search) -> str | None:
        """The user's name; null for one that the command line started."""
        return search.requested_by.get_username() if search.requested_by else None

    def get_base(self, search: Search) -> str | None:
        """The version that trials start from, "a deleted version", "scratch", or built-in weights'
        name.
        """
        if search.lost_base:
            return DELETED
        return search.base.version if search.base else search.config.get("start")

    def get_over(self, search: Search) -> int:
        """How many of its trials are over."""
        return sum(trial.state not in TrialState.live() for trial in search.trials.all())

    def get_best(self, search: Search) -> int | None:
        """The number of the best trial that was trained to its end so far."""
        done = [t for t in search.trials.all() if t.state == TrialState.DONE]
        ranked = sorted(done, key=lambda trial: (-(trial.value or 0.0), trial.number))
        return ranked[0].number if ranked else None

    def get_candidate(self, search: Search) -> str | None:
        """The version that the best trial's model became."""
        version = search.run.candidate if search.run else None
        return version.version if version else None


class SearchDetail(SearchOutput):
    """A search with its trials."""

    trials = TrialOutput(many=True, source="trials.all")


class SearchInput(serializers.Serializer[Any]):
    dataset = serializers.IntegerField()
    family = serializers.ChoiceField(Family.choices)
    trials = serializers.IntegerField(min_value=2, max_value=MOST_TRIALS)
    minutes = serializers.FloatField(required=False, min_value=0.01)
    # A name, as in RunInput.
    base = serializers.RegexField(
        r"^[A-Za-z0-9_.-]+$", max_length=60, required=False, allow_null=True, default=None
    )
    space = serializers.DictField(
        required=False,
        help_text='Ranges that replace the usual ones: {"low", "high", "log"?, "step"?},'
        ' {"choices"} or null by setting.',
    )


class Searches(ListAPIView[Search]):
    """Searches, newest first."""

    serializer_class = SearchOutput

    def get_queryset(self) -> QuerySet[Search]:
        """Searches of one data set, or of all that the caller sees."""
        if getattr(self, "swagger_fake_view", False):
            return Search.objects.none()
        return searches_of(*asked_datasets(self.request))

    @extend_schema(parameters=[DATASET])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Searches of the caller's data sets."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=SearchInput, responses={201: SearchDetail})
    def post(self, request: Request) -> Response:
        """Start a search. 409 while another of the family is live, or without material."""
        sent = SearchInput(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        dataset = dataset_for(request.user, asked["dataset"], Role.MANAGER)
        training = RunRequest(
            dataset=dataset,
            family=asked["family"],
            reason=f"asked for by {request.user.get_username()}",
            requested_by=user_of(request),
            base=asked["base"],
        )
        search = search_create(
            request=SearchRequest(
                training, asked["trials"], asked.get("minutes"), asked.get("space")
            )
        )
        return Response(_detail(search), status=201)


def search_for(request: Request, pk: int, role: Role = Role.VIEWER) -> Search:
    """The search, if the caller has at least ``role`` in its data set (NotHere, NotAllowed)."""
    absent = f"There is no search {pk}."
    shown = Search.objects.select_related("dataset", "requested_by", "base", "run__candidate")
    search = shown.filter(pk=pk).first()
    if search is None:
        raise NotHere(absent)
    require(request.user, search.dataset_id, role, absent)
    return search


def _detail(search: Search) -> Any:
    """Its trials are read once, though several fields are made of them."""
    prefetch_related_objects([search], curves())
    return SearchDetail(search).data


class OneSearch(APIView):
    """One search."""

    @extend_schema(responses=SearchDetail)
    def get(self, request: Request, pk: int) -> Response:
        """How far it is, with its trials."""
        return Response(_detail(search_for(request, pk)))


class SearchCancel(APIView):
    """Stopping a search."""

    @extend_schema(request=None, responses=SearchDetail)
    def post(self, request: Request, pk: int) -> Response:
        """End the search; its workers stop within seconds. 409 when it is over."""
        search = search_cancel(search=search_for(request, pk, Role.MANAGER))
        return Response(_detail(search))


urlpatterns = [
    path("searches/", Searches.as_view()),
    path("searches/<int:pk>/", OneSearch.as_view()),
    path("searches/<int:pk>/cancel/", SearchCancel.as_view()),
]

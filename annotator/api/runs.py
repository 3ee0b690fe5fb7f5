"""Training runs over REST: start, follow, cancel, resume."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotator.api.access import dataset_for, require, user_of
from annotator.api.events import run_events
from annotator.api.pagination import is_row_id
from annotator.exceptions import NotHere
from annotator.models import Family, Role, RunStatus, TrainingRun
from annotator.selectors.datasets import datasets_of
from annotator.selectors.runs import is_timed, runs_of
from annotator.services.preflight import preflight, preflight_body
from annotator.services.runs import RunRequest, run_cancel, run_create, run_resume

DATASET = OpenApiParameter("dataset", int, description="Only this data set's")
DELETED = "a deleted version"  # where something started that is gone


class EpochOutput(serializers.Serializer[Any]):
    epoch = serializers.IntegerField()
    train_loss = serializers.FloatField()
    validation_loss = serializers.FloatField(allow_null=True)
    metrics = serializers.DictField()
    seconds = serializers.FloatField()
    waiting = serializers.FloatField(
        allow_null=True,
        help_text="Share of its training, 0 … 1, spent waiting for images; null: not known",
    )


class MachineOutput(serializers.Serializer[Any]):
    """Where a run is or was worked on."""

    host = serializers.CharField()
    device = serializers.CharField()
    memory_mb = serializers.IntegerField(help_text="Of the worker, now")

    def to_representation(self, instance: Any) -> Any:
        """Null until a worker has told it."""
        return super().to_representation(instance) if instance else None


class ProgressOutput(serializers.Serializer[Any]):
    """How far a run's step is, while it is prepared or evaluated."""

    step = serializers.CharField(help_text="What is done, such as reading images")
    done = serializers.IntegerField(help_text="Images")
    of = serializers.IntegerField(help_text="Images")

    def to_representation(self, instance: Any) -> Any:
        """Null while nobody can tell."""
        return super().to_representation(instance) if instance else None


class RunOutput(serializers.Serializer[TrainingRun]):
    """A run with its learning curve."""

    id = serializers.IntegerField()
    dataset = serializers.IntegerField(source="dataset_id")
    family = serializers.ChoiceField(Family.choices)
    status = serializers.ChoiceField(RunStatus.choices)
    reason = serializers.CharField()
    message = serializers.CharField()
    requested_by = serializers.SerializerMethodField()
    base = serializers.SerializerMethodField()
    candidate = serializers.SerializerMethodField()
    epoch = serializers.IntegerField()
    epochs = serializers.IntegerField()
    timed = serializers.SerializerMethodField()
    seconds_left = serializers.FloatField(
        source="time_left", allow_null=True, help_text="Of the step that it is at"
    )
    progress = ProgressOutput(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    machine = MachineOutput(allow_null=True)
    epochs_log = EpochOutput(many=True, source="epoch_rows.all")

    def get_requested_by(self, run: TrainingRun) -> str | None:
        """The user's name; null when the policy started it."""
        return run.requested_by.get_username() if run.requested_by else None

    def get_timed(self, run: TrainingRun) -> bool:
        """Whether minutes end it: ``epochs`` is then estimated anew after each epoch."""
        return is_timed(run)

    def get_base(self, run: TrainingRun) -> str | None:
        """The version it starts from, "a deleted version", "scratch", or built-in weights' name."""
        if run.lost_base:
            return DELETED
        return run.base.version if run.base else run.config.get("start")

    def get_candidate(self, run: TrainingRun) -> str | None:
        """The version it made."""
        return run.candidate.version if run.candidate else None


class RunDetail(RunOutput):
    """A run with the last lines of its log; also the data of each ``run`` event."""

    log = serializers.CharField()


class RunInput(serializers.Serializer[Any]):
    dataset = serializers.IntegerField()
    family = serializers.ChoiceField(Family.choices)
    # A name; "file:…" would have the worker read whatever lies on its disk.
    base = serializers.RegexField(
        r"^[A-Za-z0-9_.-]+$", max_length=60, required=False, allow_null=True, default=None
    )
    epochs = serializers.IntegerField(required=False, min_value=1, max_value=100_000)
    minutes = serializers.FloatField(required=False, min_value=0.01)


class Runs(ListAPIView[TrainingRun]):
    """Runs, newest first."""

    serializer_class = RunOutput

    def get_queryset(self) -> QuerySet[TrainingRun]:
        """Runs of one data set, or of all that the caller sees."""
        if getattr(self, "swagger_fake_view", False):
            return TrainingRun.objects.none()
        return runs_of(*asked_datasets(self.request))

    @extend_schema(parameters=[DATASET])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Runs of the caller's data sets."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=RunInput, responses={201: RunOutput})
    def post(self, request: Request) -> Response:
        """Start a run. 409 while another of the family is live, or when there is no material."""
        sent = RunInput(data=request.data)
        sent.is_valid(raise_exception=True)
        asked = sent.validated_data
        dataset = dataset_for(request.user, asked["dataset"], Role.MANAGER)
        run = run_create(
            request=RunRequest(
                dataset=dataset,
                family=asked["family"],
                reason=f"asked for by {request.user.get_username()}",
                requested_by=user_of(request),
                base=asked["base"],
                config={key: asked[key] for key in ("epochs", "minutes") if key in asked},
            )
        )
        return Response(RunOutput(run).data, status=201)


def asked_datasets(request: Request) -> list[int]:
    """Ids of the data set named by ``?dataset=``, or of all that the caller sees."""
    number = request.query_params.get("dataset")
    if not number:
        return list(datasets_of(request.user).values_list("pk", flat=True))
    if not is_row_id(number):
        raise NotHere(f"There is no data set {number[:40]}.")
    return [dataset_for(request.user, int(number)).pk]


def run_for(request: Request, pk: int, role: Role = Role.VIEWER) -> TrainingRun:
    """The run, if the caller has at least ``role`` in its data set (NotHere, NotAllowed)."""
    absent = f"There is no training run {pk}."
    run = TrainingRun.objects.select_related("dataset").filter(pk=pk).first()
    if run is None:
        raise NotHere(absent)
    require(request.user, run.dataset_id, role, absent)
    return run


class PreflightOutput(serializers.Serializer[Any]):
    """What a run would have to work with."""

    family = serializers.ChoiceField(Family.choices)
    ready = serializers.BooleanField(help_text="Whether nothing refuses the run")
    start = serializers.CharField(help_text="A version, scratch, or the name of built-in weights")
    licence = serializers.CharField(
        help_text="Of the built-in weights that it would download, in words; else empty"
    )
    problems = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())
    images = serializers.DictField(child=serializers.IntegerField(), help_text="By split")
    cells = serializers.DictField(child=serializers.IntegerField(), help_text="By split")
    cells_per_type = serializers.DictField(child=serializers.IntegerField())
    cells_per_image = serializers.DictField(
        child=serializers.FloatField(), help_text="least, median, most"
    )
    weak_images = serializers.IntegerField()
    skipped = serializers.ListField(child=serializers.CharField())
    disk_mb = serializers.IntegerField()
    memory_mb = serializers.IntegerField()


FAMILY = OpenApiParameter("family", str, enum=list(Family.values), required=True)
BASE = OpenApiParameter("base", str, description="As in the request that starts a run")


class RunPreflight(APIView):
    """Before a run."""

    @extend_schema(
        parameters=[OpenApiParameter("dataset", int, required=True), FAMILY, BASE],
        responses=PreflightOutput,
    )
    def get(self, request: Request) -> Response:
        """What a run would learn from, what it needs, and what speaks against it."""
        number = request.query_params.get("dataset", "")
        if not is_row_id(number):
            raise NotHere(f"There is no data set {number[:40]}.")
        asked = RunRequest(
            dataset=dataset_for(request.user, int(number)),
            family=request.query_params.get("family", ""),
            reason="",
            base=request.query_params.get("base") or None,
        )
        return Response(preflight_body(preflight(request=asked)))


class Run(APIView):
    """One run."""

    @extend_schema(responses=RunDetail)
    def get(self, request: Request, pk: int) -> Response:
        """How far it is, with its learning curve and the end of its log."""
        return Response(RunDetail(run_for(request, pk)).data)


class RunCancel(APIView):
    """Stopping a run."""

    @extend_schema(request=None, responses=RunOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Ask the worker to stop; it does within seconds. 409 when the run is over."""
        run = run_cancel(run=run_for(request, pk, Role.MANAGER))
        return Response(RunOutput(run).data)


class RunResume(APIView):
    """Going on with a run."""

    @extend_schema(request=None, responses=RunOutput)
    def post(self, request: Request, pk: int) -> Response:
        """Queue a failed or cancelled run again, from its last whole epoch."""
        run = run_resume(run=run_for(request, pk, Role.MANAGER))
        return Response(RunOutput(run).data)


def _body(run: TrainingRun) -> dict[str, Any]:
    return dict(RunDetail(run).data)


urlpatterns = [
    path("training-runs/", Runs.as_view()),
    path("training-runs/preflight/", RunPreflight.as_view()),
    path("training-runs/<int:pk>/", Run.as_view()),
    path("training-runs/<int:pk>/cancel/", RunCancel.as_view()),
    path("training-runs/<int:pk>/resume/", RunResume.as_view()),
    path("training-runs/<int:pk>/events/", run_events(_body)),
]

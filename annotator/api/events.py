"""Server-sent events: a training run as it changes.

An asynchronous view: a watcher costs one small query a second in a shared pool of threads, and
neither a thread nor a database connection of its own. The learning curve is read only when the
run has changed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import APIView

from annotator.api.access import require
from annotator.api.errors import body
from annotator.exceptions import CytoloopError, NotHere
from annotator.models import Role, RunStatus, TrainingRun
from annotator.selectors.runs import curve

_POLL_SECONDS = 1.0
_KEEP_ALIVE_SECONDS = 15.0  # proxies close what is silent for longer
_LONGEST_SECONDS = 900.0  # then the browser connects again by itself
# What changes while somebody works on a run. A new point of its curve changes epoch or seconds_left
# in the same transaction; the heartbeat changes every second and is shown to nobody.
_CHANGING = (
    "status",
    "message",
    "candidate",
    "epoch",
    "epochs",
    "seconds_left",
    "progress",
    "started_at",
    "finished_at",
    "log",
    "machine",
)
Body = Callable[[TrainingRun], dict[str, Any]]


class RunEvents(APIView):
    """For the schema alone, which knows classes only; the view is the function below."""

    @extend_schema(
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                OpenApiTypes.STR,
                description="Events called run; the data of each is the whole run, as JSON.",
            )
        }
    )
    def get(self, request: Request, pk: int) -> Response:
        """Server-sent events: the run at once and at each change, until it is over."""
        raise NotImplementedError


def run_events(body_of: Body) -> Any:
    """The view of ``training-runs/{id}/events/``; ``body_of`` makes a run's JSON."""

    async def view(request: HttpRequest, pk: int) -> HttpResponseBase:
        if request.method != "GET":
            refusal = body("Only GET is possible here.", "method_not_allowed")
            return JsonResponse(refusal, status=405)
        refusal = await _in_thread(_refusal)(request, pk)
        if refusal is not None:
            return refusal
        return StreamingHttpResponse(
            _events(pk, body_of),
            content_type="text/event-stream",
            # nginx would hold the events back.
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    view.cls, view.initkwargs = RunEvents, {}  # type: ignore[attr-defined]
    return view


def _in_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """``function`` in the shared pool, its database connection given back afterwards."""

    def work(*args: Any) -> Any:
        close_old_connections()
        try:
            return function(*args)
        finally:
            close_old_connections()

    return sync_to_async(work, thread_sensitive=False)


def _refusal(request: HttpRequest, pk: int) -> JsonResponse | None:
    """The error for a caller who may not watch this run."""
    try:
        signed_in = TokenAuthentication().authenticate(request)  # type: ignore[arg-type]
    except AuthenticationFailed as error:
        return JsonResponse(body(str(error.detail), "authentication_failed"), status=401)
    user = signed_in[0] if signed_in else request.user
    if not user.is_authenticated:
        return JsonResponse(body("Sign in first.", "not_authenticated"), status=401)
    absent = f"There is no training run {pk}."
    try:
        dataset = TrainingRun.objects.filter(pk=pk).values_list("dataset", flat=True).first()
        if dataset is None:
            raise NotHere(absent)
        require(user, dataset, Role.VIEWER, absent)
    except CytoloopError as error:
        return JsonResponse(body(error.message, error.code), status=error.status)
    return None


async def _events(pk: int, body_of: Body) -> AsyncIterator[str]:
    """One ``run`` event at once and at each change, until the run is over."""

    def state() -> tuple[Any, ...] | None:
        return TrainingRun.objects.filter(pk=pk).values_list(*_CHANGING).first()

    def read() -> str | None:
        run = (
            TrainingRun.objects.select_related("requested_by", "base", "candidate")
            .prefetch_related(curve())
            .filter(pk=pk)
            .first()
        )
        return None if run is None else json.dumps(body_of(run), cls=JSONEncoder)

    yield "retry: 2000\n\n"
    began = spoke = time.monotonic()
    sent: tuple[Any, ...] | None = None
    while time.monotonic() - began < _LONGEST_SECONDS:
        # Taken before the body is read: what changes in between is sent again, not missed.
        found = await _in_thread(state)()
        if found is None:
            return
        if found != sent:
            text = await _in_thread(read)()
            if text is None:
                return
            yield f"event: run\ndata: {text}\n\n"
            sent, spoke = found, time.monotonic()
        elif time.monotonic() - spoke > _KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            spoke = time.monotonic()
        if found[0] in RunStatus.over():
            return
        await asyncio.sleep(_POLL_SECONDS)

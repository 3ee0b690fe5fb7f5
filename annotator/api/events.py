"""Server-sent events: a training run as it changes.

An asynchronous view: a watcher costs one small query a second in a shared pool of threads, and
neither a thread nor a database connection of its own.
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
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.utils.encoders import JSONEncoder

from annotator.api.access import require
from annotator.api.errors import body
from annotator.exceptions import CytoloopError, NotHere
from annotator.models import Role, RunStatus, TrainingRun

_POLL_SECONDS = 1.0
_KEEP_ALIVE_SECONDS = 15.0  # proxies close what is silent for longer
_LONGEST_SECONDS = 900.0  # then the browser connects again by itself
Body = Callable[[TrainingRun], dict[str, Any]]


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

    def read() -> tuple[str, bool] | None:
        run = (
            TrainingRun.objects.select_related("requested_by", "base", "candidate")
            .prefetch_related("epoch_rows")
            .filter(pk=pk)
            .first()
        )
        if run is None:
            return None
        return json.dumps(body_of(run), cls=JSONEncoder), run.status in RunStatus.over()

    yield "retry: 2000\n\n"
    began = spoke = time.monotonic()
    sent = ""
    while time.monotonic() - began < _LONGEST_SECONDS:
        found = await _in_thread(read)()
        if found is None:
            return
        text, over = found
        if text != sent:
            yield f"event: run\ndata: {text}\n\n"
            sent, spoke = text, time.monotonic()
        elif time.monotonic() - spoke > _KEEP_ALIVE_SECONDS:
            yield ": still here\n\n"
            spoke = time.monotonic()
        if over:
            return
        await asyncio.sleep(_POLL_SECONDS)

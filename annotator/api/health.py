"""Is it alive, is it ready, and how much of everything: for supervisors and Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_safe
from kombu.exceptions import KombuError

from annotator import storage
from annotator.celery import app
from annotator.exceptions import CytoloopError
from annotator.selectors.metrics import figures

log = logging.getLogger(__name__)
BROKER_SECONDS = 2


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Database, storage and broker can be reached; 503 names the one that cannot."""
    asked: dict[str, Callable[[], object]] = {
        "database": _ask_database,
        "storage": storage.check,
        "broker": _ask_broker,
    }
    found = {name: _works(name, ask) for name, ask in asked.items()}
    down = [name for name, works in found.items() if not works]
    parts = {name: "ok" if works else "unreachable" for name, works in found.items()}
    body = {"status": "unavailable" if down else "ok", **parts}
    if down:
        body |= {"message": f"Cannot reach: {', '.join(down)}.", "code": "unavailable"}
    return JsonResponse(body, status=503 if down else 200)


def _works(name: str, ask: Callable[[], object]) -> bool:
    try:
        ask()
    except (DatabaseError, InterfaceError, CytoloopError, KombuError, OSError) as error:
        log.warning("%s cannot be reached: %s", name, error)
        return False
    return True


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_broker() -> None:
    with app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Counts only: no names leave through here."""
    lines = []
    for name, explanation, rows in figures():
        lines += [f"# HELP cytoloop_{name} {explanation}", f"# TYPE cytoloop_{name} gauge"]
        for labels, value in rows:
            marks = ",".join(f'{key}="{text}"' for key, text in labels.items())
            lines.append(
                f"cytoloop_{name}{{{marks}}} {value}" if marks else f"cytoloop_{name} {value}"
            )
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")


urlpatterns = [
    path("health/live", live),
    path("health/ready", ready),
    path("metrics", metrics),
]

"""The browser's page: one HTML file for every path that is nobody else's."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Cytoloop</title>
<h1>The pages are not built yet</h1>
<p>Run <code>make run</code>, or <code>npm ci && npm run build</code> in <code>frontend/</code>.
The REST API is up: <a href="/api/v1/docs/">/api/v1/docs/</a>.</p>
"""


@require_safe
@never_cache
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """``frontend/dist/index.html``; 503 with a sentence when it was not built."""
    try:
        return HttpResponse((settings.FRONTEND_DIST / "index.html").read_bytes())
    except FileNotFoundError:
        return HttpResponse(NOT_BUILT, status=503)


urlpatterns = [re_path(r"^(?!(?:api|admin|static|health|metrics)(?:/|$)).*$", page)]

"""Every failure leaves as ``{"message", "code", "fields"?}``."""

from __future__ import annotations

import errno
import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import DataError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from annotator.exceptions import BadInput, CytoloopError, TooLarge, Unavailable

log = logging.getLogger(__name__)
# Uploads lie in temporary files while they are read: too many of them, or a full disk.
_LONGEST = 2000  # characters of a message: it may quote what was sent
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler; None lets an unforeseen error become a logged 500."""
    exc = _ours(exc)
    if isinstance(exc, Http404):
        exc = drf.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = drf.PermissionDenied(*exc.args)
    set_rollback()
    if isinstance(exc, CytoloopError):
        return Response(body(exc.message, exc.code, exc.fields), status=exc.status)
    if isinstance(exc, drf.APIException):
        return _from_drf(exc)
    return None


def _ours(exc: Exception) -> Exception:
    """What Django, the database or the JSON parser raise over a bad request, as one of ours."""
    if isinstance(exc, OperationalError):
        log.error("database: %s", exc)
        return Unavailable("The database is busy or cannot be reached. Try again in a moment.")
    if isinstance(exc, DataError):
        log.warning("database: %s", exc)
        return BadInput("A value is too long, too large or holds a character that is no text.")
    if isinstance(exc, OSError) and exc.errno in NO_ROOM:
        log.error("no room for a request: %s", exc)
        return Unavailable(
            f"The server has no room for this request ({exc.strerror}). Send fewer files at once, "
            "or ask whoever runs it."
        )
    if isinstance(exc, RecursionError):
        return BadInput("The JSON is nested too deeply.")
    if isinstance(exc, TooManyFilesSent):
        most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        return TooLarge(f"One request may carry {most} files; send the others in another.")
    if isinstance(exc, TooManyFieldsSent | RequestDataTooBig):
        return TooLarge("The request carries more fields, or longer ones, than anything needs.")
    return exc


def body(message: str, code: str, fields: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """The one shape of an error. Half a surrogate pair, quoted back, would be no JSON."""
    told = {_text(name): [_text(line) for line in lines] for name, lines in (fields or {}).items()}
    return {"message": _text(message), "code": code} | ({"fields": told} if told else {})


def _text(sent: str) -> str:
    short = sent if len(sent) <= _LONGEST else f"{sent[:_LONGEST]}…"
    return short.encode(errors="replace").decode()


def _from_drf(exc: drf.APIException) -> Response:
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(exc, "wait", None):  # seconds until a throttle opens again
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(exc, drf.ValidationError):
        fields = _flatten(exc.detail)
        first, texts = next(iter(fields.items()))
        message = texts[0] if first == "" else f"{first}: {texts[0]}"
        named = {name: lines for name, lines in fields.items() if name}
        return Response(body(message, "bad_input", named), status=exc.status_code)
    code = {"throttled": "too_many_requests", "permission_denied": "not_allowed"}.get(
        exc.default_code, exc.default_code
    )
    return Response(body(str(exc.detail), code), status=exc.status_code, headers=headers)


def _flatten(detail: Any, path: str = "") -> dict[str, list[str]]:
    """DRF's nested details as ``{"types.0.name": [sentence, …]}``; "" for the whole body."""
    if isinstance(detail, dict):
        parts = [(str(key), value) for key, value in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        parts = [(str(number), value) for number, value in enumerate(detail)]
    else:
        return {path: [str(item) for item in (detail if isinstance(detail, list) else [detail])]}
    found: dict[str, list[str]] = {}
    for key, value in parts:
        inner = path if key == "non_field_errors" else f"{path}.{key}" if path else key
        if value not in ({}, []):
            found |= _flatten(value, inner)
    return found


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 404, as JSON; pages never reach it because every path is the single page's."""
    return JsonResponse(body(f"There is nothing at {request.path}.", "not_found"), status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500, as JSON. The traceback is in the log."""
    message = "Something went wrong on the server; the log has the details. Try again."
    return JsonResponse(body(message, "error"), status=500)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 403, as JSON."""
    return JsonResponse(body("You may not do this.", "not_allowed"), status=403)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's 400 (a malformed request), as JSON."""
    message = "The request is malformed."
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")[:100]
        message = (
            f"This server does not answer to the host name {host!r}. Whoever runs it can add the "
            "name to ALLOWED_HOSTS."
        )
    return JsonResponse(body(message, "bad_input"), status=400)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF refusal, as JSON."""
    message = f"The CSRF token is missing or wrong ({reason}). Load the page again."
    return JsonResponse(body(message, "csrf_failed"), status=403)

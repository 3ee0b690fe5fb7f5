"""Requests whose body is longer than anything here takes: refused while they arrive.

Django under ASGI writes a body to disk, all of it, before a view or the sign-in is asked. This
stands before Django and counts.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from django.conf import settings
from django.http import parse_cookie

Scope = dict[str, Any]
Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

LARGEST_TEXT = 16 * 2**20  # bytes of JSON or of a form without files; it is parsed in memory
TEXT = ("application/json", "application/x-www-form-urlencoded", "text/")


class _TooLong(Exception):
    """More bytes came than the limit."""


def limited(application: Application) -> Application:
    """``application``, answering 413 to bodies over the limit, announced or not."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        announced, limit = _length(scope), _limit(scope)
        received = 0

        async def counted() -> Event:
            nonlocal received
            event = await receive()
            if event["type"] == "http.request":
                received += len(event.get("body", b""))
                if received > limit:
                    raise _TooLong
            return event

        try:
            if announced > limit:
                raise _TooLong
            await application(scope, counted, send)
        except _TooLong:
            await _refuse(send, limit, _anonymous(scope))

    return guarded


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _length(scope: Scope) -> int:
    text = _header(scope, b"content-length")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _limit(scope: Scope) -> int:
    kind = _header(scope, b"content-type").strip().lower()
    if kind.startswith(TEXT) or _anonymous(scope):
        return LARGEST_TEXT
    return int(settings.REQUEST_MAX_BYTES)


def _anonymous(scope: Scope) -> bool:
    """Whether nothing in the request could sign its sender in."""
    # HTTP/2 may spread the cookies over several headers.
    cookies = (value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie")
    in_session = any(parse_cookie(each).get(settings.SESSION_COOKIE_NAME) for each in cookies)
    return not in_session and not _header(scope, b"authorization")


async def _refuse(send: Send, limit: int, anonymous: bool) -> None:
    message = f"The request is larger than the {limit // 2**20} MB that are accepted at once."
    if anonymous:
        message += " To send files, sign in first."
    answer = json.dumps({"message": message, "code": "too_large"}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 413,
            # The rest of the body is still on its way: nothing more can be read from this line.
            "headers": [(b"content-type", b"application/json"), (b"connection", b"close")],
        }
    )
    await send({"type": "http.response.body", "body": answer, "more_body": False})

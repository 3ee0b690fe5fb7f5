"""Stored objects as downloads, in chunks, whatever their size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import IO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from annotator import storage


def download(request: Request, key: str, name: str) -> HttpResponseBase:
    """The object under ``key`` as an attachment called ``name``. Raises ``Unavailable``."""
    stream = storage.open_stream(key)
    underlying: HttpRequest = request._request
    if not isinstance(underlying, ASGIRequest):
        return FileResponse(stream, as_attachment=True, filename=name)
    # Under ASGI a synchronous stream would be read into memory whole before the first byte leaves.
    return StreamingHttpResponse(
        _chunks(stream),
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _chunks(stream: IO[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(stream.read, thread_sensitive=False)
    try:
        while chunk := await read(storage.CHUNK):
            yield chunk
    finally:
        stream.close()

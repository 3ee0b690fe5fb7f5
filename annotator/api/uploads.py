"""Multipart uploads that stop when a file grows past the limit, while it arrives."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from rest_framework.request import Request

from annotator.exceptions import TooLarge


class SizeLimit(FileUploadHandler):
    """Counts the bytes of each file and refuses the request at the limit; keeps nothing itself."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin counting."""
        super().new_file(*args, **kwargs)
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Hand the chunk on to the next handler, or raise TooLarge."""
        self.received += len(raw_data)
        if self.received > settings.UPLOAD_MAX_BYTES:
            raise TooLarge(
                f"{self.file_name} is larger than the {settings.UPLOAD_MAX_BYTES // 2**20} MB "
                "that this server accepts per file (UPLOAD_MAX_MB)."
            )
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler makes the file."""
        return


class LimitedUploads:
    """Mix-in of a view: puts SizeLimit before Django's handlers, before anything reads the body."""

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """DRF's request, its uploads limited."""
        request.upload_handlers.insert(0, SizeLimit(request))
        wrapped: Request = super().initialize_request(request, *args, **kwargs)  # type: ignore[misc]
        return wrapped

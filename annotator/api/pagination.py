"""Cursor pagination: ``{"next", "previous", "results"}``, stable while rows are added."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """Newest rows first; ``?limit=`` up to 500."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


class OldestFirst(NewestFirst):
    """The order of upload, as in a film strip of images."""

    ordering = "id"

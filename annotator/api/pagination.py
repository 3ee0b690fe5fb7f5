"""Cursor pagination: ``{"next", "previous", "results"}``, stable while rows are added."""

from __future__ import annotations

import math
from collections.abc import Callable

from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from annotator.api.access import LARGEST_ID


def is_row_id(text: str) -> bool:
    """Whether ``text`` can be the id of a row: ASCII digits within the database's integers."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= LARGEST_ID


def is_number(text: str) -> bool:
    """Whether ``text`` is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


class CheckedCursor(CursorPagination):
    """Refuses a cursor that somebody wrote by hand: its position must suit the order's column."""

    fits: Callable[[str], bool] = staticmethod(is_row_id)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The cursor of ``?cursor=``, if any. Raises NotFound for one that we did not give."""
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not self.fits(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class NewestFirst(CheckedCursor):
    """Newest rows first; ``?limit=`` up to 500."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


class OldestFirst(NewestFirst):
    """The order of upload, as in a film strip of images."""

    ordering = "id"

"""Reads over revisions."""

from __future__ import annotations

from django.db.models import QuerySet

from annotator.models import Image, Revision


def head_revision(image: Image) -> Revision | None:
    """The newest revision of ``image`` with author and parent, if any."""
    return (
        Revision.objects.filter(image=image)
        .select_related("author", "parent")
        .order_by("-number")
        .first()
    )


def history_of(image: Image) -> QuerySet[Revision]:
    """All revisions of ``image``, newest first."""
    return (
        Revision.objects.filter(image=image).select_related("author", "parent").order_by("-number")
    )

"""Flags: raising one on an image, resolving it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from annotator.exceptions import BadInput
from annotator.models import Flag, Image


def flag_raise(*, image: Image, author: User, note: str) -> Flag:
    """Ask the managers to look at ``image``; the same open question sent twice is one flag.

    Raises ``BadInput`` when the note says nothing.
    """
    note = note.strip()
    if not note:
        raise BadInput("Say in the note what should be looked at.", fields={"note": ["Empty."]})
    with transaction.atomic():
        Image.objects.select_for_update().get(pk=image.pk)  # two requests at once make one flag
        known = Flag.objects.filter(image=image, author=author, note=note, resolved_at=None).first()
        return known or Flag.objects.create(image=image, author=author, note=note)


def flag_resolve(*, flag: Flag, manager: User) -> Flag:
    """Close a flag; one that is closed already stays as it was."""
    Flag.objects.filter(pk=flag.pk, resolved_at=None).update(
        resolved_at=timezone.now(), resolved_by=manager
    )
    flag.refresh_from_db()
    return flag

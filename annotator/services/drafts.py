"""Drafts: autosaved work of one person on one image, and how they like to see a data set."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import Conflict, TooLarge, Unavailable, UnusableLabels
from annotator.models import Dataset, Draft, Image, Prediction, Preference

log = logging.getLogger(__name__)

LARGEST_PREFERENCES = 1 << 16  # bytes of JSON; the browser sends a few hundred


@dataclass(frozen=True)
class DraftContent:
    """What an autosave sends. ``labels`` (H, W); ``document`` is the browser's own."""

    labels: NDArray[Any]
    document: Mapping[str, Any]
    base_number: int
    saved_at: datetime
    prediction: Prediction | None = None


def draft_save(*, image: Image, author: User, content: DraftContent) -> Draft:
    """Replace ``author``'s draft of ``image``; the same draft sent twice is stored once.

    A time that is still to come counts as now, lest a clock that runs ahead keep later work out.

    Raises:
        Conflict: a draft saved later is there already, from another window or computer.
        UnusableLabels: the labels do not have the image's size.
        Unavailable: object storage failed; the draft before then stays.
    """
    content = replace(content, saved_at=min(content.saved_at, timezone.now()))
    if content.labels.shape != (image.height, image.width):
        raise UnusableLabels(
            f"The draft's labels are {content.labels.shape[1]}×{content.labels.shape[0]} px, "
            f"the image is {image.width}×{image.height} px."
        )
    known = Draft.objects.filter(image=image, author=author).first()
    if known is not None and known.saved_at >= content.saved_at:
        return _same_or_conflict(known, content)
    # A key of this save alone: what another save removes is never what this one points to.
    folder = f"drafts/{image.pk}-{author.pk}/{uuid.uuid4().hex}"
    key = storage.labels_put(content.labels, folder=folder)
    try:
        draft, dropped = _replaced(image, author, content, key)
    except BaseException:
        storage.delete(key)
        raise
    if dropped:
        storage.delete(dropped)
    return _same_or_conflict(draft, content)


def _same_or_conflict(draft: Draft, content: DraftContent) -> Draft:
    if draft.saved_at > content.saved_at:
        raise Conflict(
            f"A draft of {draft.image.name} saved at {draft.saved_at:%H:%M:%S} UTC is newer; open "
            "the image again to go on with it."
        )
    return draft


def _replaced(image: Image, author: User, content: DraftContent, key: str) -> tuple[Draft, str]:
    """The draft that stands now, and the key of the labels that nobody needs any more."""
    with transaction.atomic():
        replaced = Draft.objects.select_for_update().filter(image=image, author=author).first()
        dropped = key
        if replaced is not None and replaced.saved_at >= content.saved_at:
            draft = replaced
        else:
            dropped = replaced.labels_key if replaced else ""
            draft, _ = Draft.objects.update_or_create(
                image=image,
                author=author,
                defaults={
                    "base_number": content.base_number,
                    "prediction": content.prediction,
                    "labels_key": key,
                    "document": dict(content.document),
                    "saved_at": content.saved_at,
                },
            )
    return draft, dropped


def draft_labels(draft: Draft) -> NDArray[np.unsignedinteger[Any]]:
    """The label image (H, W) of a draft. Raises ``Unavailable``."""
    return storage.labels_get(draft.labels_key)


def draft_discard(*, image: Image, author: User) -> bool:
    """Forget ``author``'s draft of ``image``; False when there is none."""
    draft = Draft.objects.filter(image=image, author=author).first()
    if draft is None:
        return False
    Draft.objects.filter(pk=draft.pk, labels_key=draft.labels_key).delete()
    try:
        storage.delete(draft.labels_key)
    except Unavailable as error:  # a few kilobytes stay behind; the work itself is done
        log.warning("the draft %s stays in storage: %s", draft.labels_key, error.message)
    return True


def preferences_save(*, dataset: Dataset, user: User, values: Mapping[str, Any]) -> Preference:
    """Keep how ``user`` looks at ``dataset``; keys not given stay as they were."""
    with transaction.atomic():
        known, _ = Preference.objects.select_for_update().get_or_create(dataset=dataset, user=user)
        merged = {**known.values, **values}
        if len(json.dumps(merged)) > LARGEST_PREFERENCES:
            raise TooLarge(f"Preferences are at most {LARGEST_PREFERENCES // 1024} KB of JSON.")
        known.values = merged
        known.save(update_fields=["values", "updated_at"])
    return known

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
from django.db import IntegrityError, transaction
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import Conflict, TooLarge, Unavailable, UnusableLabels
from annotator.models import Dataset, Draft, Image, Prediction, Preference

log = logging.getLogger(__name__)

LARGEST_PREFERENCES = 1 << 16  # bytes of JSON; the browser sends a few hundred


@dataclass(frozen=True)
class Replaces:
    """The draft that a writer last read or wrote, by its time; None: there was none."""

    saved_at: datetime | None


@dataclass(frozen=True)
class DraftContent:
    """What an autosave sends. ``labels`` (H, W); ``document`` is the browser's own.

    Of ``document`` only ``writer`` is read: the window that wrote it may always go on.
    """

    labels: NDArray[Any]
    document: Mapping[str, Any]
    base_number: int
    saved_at: datetime
    prediction: Prediction | None = None
    replaces: Replaces | None = None  # None: any that is older


def draft_save(*, image: Image, author: User, content: DraftContent) -> Draft:
    """Replace ``author``'s draft of ``image``; the same draft sent twice is stored once.

    A time that is still to come counts as now, lest a clock that runs ahead keep later work out.

    Raises:
        Conflict: a draft is there that was saved later, or that the writer has not seen.
        UnusableLabels: the labels do not have the image's size.
        Unavailable: object storage failed; the draft before then stays.
    """
    saved_at = _to_milliseconds(min(content.saved_at, timezone.now()))
    content = replace(content, saved_at=saved_at)
    if content.labels.shape != (image.height, image.width):
        raise UnusableLabels(
            f"The draft's labels are {content.labels.shape[1]}×{content.labels.shape[0]} px, "
            f"the image is {image.width}×{image.height} px."
        )
    known = Draft.objects.filter(image=image, author=author).first()
    if known is not None and _is_repeated(known, content):
        return known
    # A key of this save alone: what another save removes is never what this one points to. One
    # folder for all, for a folder of its own would stay behind empty.
    apart = f"drafts/{image.pk}-{author.pk}-{uuid.uuid4().hex}"
    key = storage.labels_put(content.labels, apart=apart)
    try:
        draft, dropped = _replaced(image, author, content, key)
    except IntegrityError as error:
        storage.delete(key)
        raise Conflict(
            f"A draft of {image.name} was saved from elsewhere at the same moment. Try again."
        ) from error
    except BaseException:
        storage.delete(key)
        raise
    if dropped:
        storage.delete(dropped)
    return draft


def _is_repeated(known: Draft, content: DraftContent) -> bool:
    """Whether ``known`` is this very save. Raises Conflict when it must not be replaced by it."""
    writer = content.document.get("writer")
    own = writer is not None and known.document.get("writer") == writer
    known_at = _to_milliseconds(known.saved_at)
    unseen = not own and content.replaces is not None and content.replaces.saved_at != known_at
    if unseen or known_at > content.saved_at:
        raise Conflict(
            f"A draft of {known.image.name} was saved from elsewhere at {known_at:%H:%M:%S} UTC; "
            "open the image again to go on with it."
        )
    return known_at == content.saved_at and (own or content.replaces is None)


def _to_milliseconds(at: datetime) -> datetime:
    """Browsers know no finer time."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _replaced(image: Image, author: User, content: DraftContent, key: str) -> tuple[Draft, str]:
    """The draft that stands now, and the key of the labels that nobody needs any more."""
    with transaction.atomic():
        known = Draft.objects.select_for_update().filter(image=image, author=author).first()
        if known is not None and _is_repeated(known, content):
            return known, key
        draft = known or Draft(image=image, author=author)
        dropped = draft.labels_key
        draft.base_number = content.base_number
        draft.prediction = content.prediction
        draft.labels_key = key
        draft.document = dict(content.document)
        draft.saved_at = content.saved_at
        draft.save()
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

"""Measuring annotators: gold images, whose truth is known, and their own images again.

Whoever is measured is not told: such an item looks like any other, a region where regions are
asked, and the image's revisions stay hidden while it is held. What is handed in becomes a
``Check``, never a revision.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from annotator import storage
from annotator.exceptions import Conflict, NotHere
from annotator.models import (
    Asking,
    Check,
    Dataset,
    Image,
    Kind,
    Outcome,
    Prediction,
    QueueItem,
    Revision,
    Split,
)
from annotator.selectors.predictions import newest_prediction
from annotator.selectors.queue import free_items
from annotator.services.asking import ask_again
from annotator.services.drafts import draft_discard
from inference.labels import mostly_in
from inference.rectangles import painted
from training.metrics import average_precision, count_error, match, panoptic_quality

_REST = timedelta(hours=12)  # before anybody is shown an own image again
_TRIES = 8  # regions handed in, of which one is looked for that its annotator has answered

Labels = NDArray[Any]


def gold_set(*, image: Image, gold: bool) -> Image:
    """Make ``image`` a gold one, or no longer. ``Conflict`` unless its head is complete."""
    head = image.revisions.order_by("-number").first()
    if gold and (head is None or head.complete_regions is not None):
        raise Conflict(
            f"{image.name} cannot measure annotators: annotate it as a whole first, with care."
        )
    image.gold = gold
    image.save(update_fields=["gold"])
    return image


def check_open(
    *,
    dataset: Dataset,
    annotator: User,
    draw: Callable[[], float] = random.random,
) -> QueueItem | None:
    """Lease a gold or repeated image to ``annotator`` when its turn has come; else None.

    ``draw`` gives a number in [0, 1): one ask in ``dataset.gold_every`` is a gold image, one in
    ``repeat_every`` the person's own.
    """
    lot = draw()
    gold = 1 / dataset.gold_every if dataset.gold_every else 0.0
    repeat = 1 / dataset.repeat_every if dataset.repeat_every else 0.0
    if lot < gold:
        return _lease(_gold_images(dataset, annotator).first(), Kind.GOLD, annotator)
    if lot < gold + repeat:
        own = _own_region(dataset, annotator)
        if own is not None:
            return _lease(own.image, Kind.REPEAT, annotator, own.region)
        return _lease(_own_images(dataset, annotator).first(), Kind.REPEAT, annotator)
    return None


def _unasked(dataset: Dataset, annotator: User) -> QuerySet[Image]:
    """Predicted images by which ``annotator`` was not measured yet and that nobody holds."""
    items = QueueItem.objects.filter(image=OuterRef("pk"))
    checked = items.filter(annotator=annotator).exclude(kind=Kind.ASK)
    held = items.filter(closed_at__isnull=True, leased_until__gt=timezone.now())
    predicted = Prediction.objects.filter(image=OuterRef("pk"))
    free = Image.objects.filter(~Exists(checked), ~Exists(held), Exists(predicted), dataset=dataset)
    return free.select_related("dataset").order_by("?")


def _gold_images(dataset: Dataset, annotator: User) -> QuerySet[Image]:
    """Gold ones, wholly annotated, and not by ``annotator``: who made the truth knows it."""
    own = Revision.objects.filter(image=OuterRef("pk"), author=annotator)
    whole = Revision.objects.filter(image=OuterRef("pk"), complete_regions__isnull=True)
    return _unasked(dataset, annotator).filter(Exists(whole), ~Exists(own), gold=True)


def _own_images(dataset: Dataset, annotator: User) -> QuerySet[Image]:
    """Those that ``annotator`` annotated a while ago."""
    own = Revision.objects.filter(
        image=OuterRef("pk"),
        author=annotator,
        complete_regions__isnull=True,
        created_at__lt=timezone.now() - _REST,
    ).exclude(source="import")
    return _unasked(dataset, annotator).filter(Exists(own))


def _own_region(dataset: Dataset, annotator: User) -> QueueItem | None:
    """One that ``annotator`` was asked and handed in a while ago; None where none are asked."""
    if dataset.asking != Asking.REGION:
        return None
    asked = QueueItem.objects.filter(
        image__in=_unasked(dataset, annotator).order_by(),
        kind=Kind.ASK,
        region__isnull=False,
        annotator=annotator,
        outcome=Outcome.SUBMITTED,
        closed_at__lt=timezone.now() - _REST,
    ).select_related("image__dataset")
    for item in asked.order_by("?")[:_TRIES]:
        if _answer_for(item.image, item.region, annotator) is not None:
            return item
    return None  # others have handed them in, or the revisions were deleted


def _lease(
    image: Image | None, kind: str, annotator: User, region: list[int] | None = None
) -> QueueItem | None:
    """``image``, or its ``region``, as it would be asked had nobody annotated it."""
    prediction = newest_prediction(image) if image else None
    if image is None or prediction is None:
        return None
    ask = ask_again(dataset=image.dataset, prediction=prediction, region=region)
    try:
        with transaction.atomic():
            return QueueItem.objects.create(
                image=image,
                kind=kind,
                annotator=annotator,
                leased_until=_until(image.dataset),
                **ask.columns() | {"score": _usual_score(image, ask.score)},
            )
    except IntegrityError:  # another tab's ask was faster
        return None


def _usual_score(image: Image, own: float) -> float:
    """The best that waits, for that is what is handed out; of images that measure any, by lot."""
    if image.split != Split.TRAIN:
        return own
    free = free_items(image.dataset, timezone.now()).filter(image__split=Split.TRAIN)
    best = free.values_list("score", flat=True).first()
    return own if best is None else best


def _until(dataset: Dataset) -> datetime:
    return timezone.now() + timedelta(minutes=dataset.lease_minutes)


def check_submit(
    *,
    item: QueueItem,
    annotator: User,
    labels: Labels,
    types: Mapping[int, str | None],
    seconds: float | None = None,
) -> Check:
    """Measure what ``annotator`` handed in for ``item`` and close it.

    The same submission sent again gives the same answer. Raises ``Conflict`` when the item is not
    the annotator's any more, and ``NotHere`` when what it is measured by was deleted.
    """
    known = Check.objects.filter(item=item, annotator=annotator).first()
    if known is not None:
        return known
    reference = _reference(item, annotator)
    answer, truth = _compared(labels, storage.labels_get(reference.labels_key), item.region)
    figures = agreement(answer, types, truth, _types(reference))
    key = storage.labels_put(labels)
    with transaction.atomic():
        mine = QueueItem.objects.filter(pk=item.pk, annotator=annotator, closed_at__isnull=True)
        closed = mine.update(closed_at=timezone.now(), outcome=Outcome.SUBMITTED, leased_until=None)
        if closed != 1:
            raise Conflict(f"You do not hold {item.image.name} any more; ask for the next image.")
        check = Check.objects.create(
            item=item,
            annotator=annotator,
            reference=reference,
            labels_key=key,
            types={str(label): name for label, name in types.items() if name},
            figures=figures,
            seconds_spent=seconds,
        )
    draft_discard(image=item.image, author=annotator)  # as a submission does
    return check


def _reference(item: QueueItem, annotator: User) -> Revision:
    """The truth of a gold image: its head. Of a repeated one: the person's last answer."""
    if item.kind == Kind.REPEAT:
        reference = _answer_for(item.image, item.region, annotator)
    else:
        whole = item.image.revisions.filter(complete_regions__isnull=True)
        reference = whole.order_by("-number").first()
    if reference is None:
        raise NotHere(f"What {item.image.name} is measured by was deleted; ask for the next image.")
    return reference


def _answer_for(image: Image, region: Any, annotator: User) -> Revision | None:
    """The newest revision by ``annotator`` that says all of ``region``, or else of the image."""
    own = image.revisions.filter(author=annotator).exclude(source="import").order_by("-number")
    return next((each for each in own if _says(each.complete_regions, region)), None)


def _says(complete: Any, region: Any) -> bool:
    if complete is None or region is None:
        return complete is None
    x0, y0, x1, y1 = region
    return any(a <= x0 and b <= y0 and x1 <= c and y1 <= d for a, b, c, d in complete)


def _types(revision: Revision) -> dict[int, str]:
    typed = revision.cells.filter(type__isnull=False)
    return dict(typed.values_list("label", "type__name"))


def _compared(labels: Labels, known: Labels, region: Any) -> tuple[Labels, Labels]:
    """``labels`` and what is ``known``, of both only the cells of ``region``.

    Those that lie mostly in it. Of two that are the same cell the known one decides: at the rim the
    one may lie mostly within and the other not.
    """
    if region is None:
        return labels, known
    height, width = known.shape
    inside = painted([region], (0, 0, width, height))
    truth, mine = set(mostly_in(known, inside)), set(mostly_in(labels, inside))
    matching = match(known, labels)
    pairs = zip(matching.true.tolist(), matching.predicted.tolist(), strict=True)
    shown = [other for cell, other in pairs if cell in truth]
    shown += [label for label in matching.extra.tolist() if label in mine]
    return _only(labels, shown), _only(known, list(truth))


def _only(labels: Labels, cells: Sequence[int]) -> Labels:
    return np.where(np.isin(labels, cells), labels, 0)


def agreement(
    labels: Labels, types: Mapping[int, str | None], known: Labels, known_types: Mapping[int, str]
) -> dict[str, float | int | None]:
    """{"cells", "ap50", "pq", "count_error", "type_agreement"} of an answer beside what is known.

    ``type_agreement``: share of the cells that both have and that are typed in both; None without.
    """
    known, labels = known.astype(np.int64), labels.astype(np.int64)
    matching = match(known, labels)
    pairs = [
        (known_types[cell], types[other])
        for cell, other in zip(matching.true.tolist(), matching.predicted.tolist(), strict=True)
        if known_types.get(cell) and types.get(other)
    ]
    return {
        "cells": int(matching.true.size + matching.missed.size),
        "ap50": float(average_precision([known], [labels], [0.5])[0, 0]),
        "pq": panoptic_quality(known, labels),
        "count_error": count_error(known, labels),
        "type_agreement": sum(a == b for a, b in pairs) / len(pairs) if pairs else None,
    }

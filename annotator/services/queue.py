"""The queue of images to correct: filling it, leasing from it, closing its items.

A lease is a time. It is taken by one conditional UPDATE that must change exactly one row, so two
annotators never get the same image, on SQLite and on Postgres alike.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from annotator.exceptions import BadInput, Conflict
from annotator.models import Dataset, Image, Kind, Outcome, Prediction, QueueItem, Split
from annotator.selectors import queue as reads
from annotator.selectors.versions import Pair, current_pair
from annotator.services.asking import Ask, asks
from annotator.services.asking import draw as draw_lot
from annotator.services.checks import check_open

# Of all asks, the share answered with a validation or test image (while there are any): enough
# that the test set grows with the loop, few enough that most work teaches the models.
MEASURING_SHARE = 0.2
_SAME = 1e-6  # difference of scores that is none
_TRIES = 8  # items tried per look: as many rivals may be faster before we look again

NO_MODEL = {"code": "no_model", "text": "no model yet: chosen at random", "value": None}


def queue_refresh(*, dataset: Dataset) -> int:
    """Bring the open items in line with revisions and predictions; how many rows changed.

    Any number of workers and annotators may do this at once.
    """
    now = timezone.now()
    changed = reads.moot_items(dataset, now).update(closed_at=now, outcome=Outcome.STALE)
    changed += reads.abandoned_checks(dataset, now).update(closed_at=now, outcome=Outcome.STALE)
    pair = current_pair(dataset)
    if pair is None:
        return changed + _open_at_random(reads.images_without_model(dataset))
    changed += _show_predictions(dataset, pair, now)
    failed = reads.images_that_failed(dataset, pair).select_related("prediction_attempt")
    return changed + _open(
        QueueItem(image=image, score=draw_lot(image), reasons=[_failure(image)]) for image in failed
    )


def _show_predictions(dataset: Dataset, pair: Pair, now: datetime) -> int:
    """Open an item for each new prediction, or let the image's open item show it.

    What is asked first depends on all that could be asked: where something is new, the free items'
    scores are brought up to date too.
    """
    fresh = list(reads.new_predictions(dataset, pair))
    if not fresh:
        return 0
    shown = list(reads.shown_predictions(dataset, pair, now))
    opened = {
        item.image_id: item
        for item in QueueItem.objects.filter(
            image__in=[prediction.image_id for prediction in (*fresh, *shown)],
            closed_at__isnull=True,
            kind=Kind.ASK,
        )
    }
    asked = asks(dataset=dataset, predictions=[*fresh, *shown])
    changed = _leave_out(_not_among(asked, fresh), opened, now)
    items, moved = [], []
    for ask in asked:
        item = opened.get(ask.prediction.image_id)
        if item is None:
            items.append(QueueItem(image=ask.prediction.image, **ask.columns()))
        elif item.prediction_id != ask.prediction.pk:
            # An item in somebody's hands keeps the prediction that this annotator began with.
            changed += QueueItem.objects.filter(
                reads.is_free(now), pk=item.pk, closed_at__isnull=True
            ).update(**ask.columns())
        elif abs(item.score - ask.score) > _SAME:
            item.score = ask.score
            moved.append(item)
    QueueItem.objects.bulk_update(moved, ["score"], batch_size=500)
    return changed + len(moved) + _open(items)


def _not_among(asked: Iterable[Ask], predictions: Iterable[Prediction]) -> list[Prediction]:
    known = {ask.prediction.pk for ask in asked}
    return [prediction for prediction in predictions if prediction.pk not in known]


def _leave_out(
    predictions: Iterable[Prediction], opened: Mapping[int, QueueItem], now: datetime
) -> int:
    """Note that nothing is left to ask of these, lest all be compared anew at every refresh."""
    notes, changed = [], 0
    closed: dict[str, Any] = {
        "closed_at": now,
        "outcome": Outcome.STALE,
        "note": reads.NOTHING_LEFT,
    }
    for prediction in predictions:
        item = opened.get(prediction.image_id)
        if item is None:
            image = prediction.image
            notes.append(QueueItem(image=image, prediction=prediction, score=0.0, **closed))
        else:
            free = QueueItem.objects.filter(reads.is_free(now), pk=item.pk, closed_at__isnull=True)
            changed += free.update(prediction=prediction, leased_until=None, **closed)
    QueueItem.objects.bulk_create(notes, batch_size=500)
    return changed + len(notes)


def queue_reask(*, dataset: Dataset) -> None:
    """Have the next refresh say anew what is asked of training images, as settings have changed."""
    # An item that shows no prediction is brought in line with the newest as with any new one.
    QueueItem.objects.filter(
        reads.is_free(timezone.now()),
        image__dataset=dataset,
        image__split=Split.TRAIN,
        kind=Kind.ASK,
        closed_at__isnull=True,
    ).update(prediction=None)


def _failure(image: Image) -> dict[str, Any]:
    message = image.prediction_attempt.message
    return {
        "code": "not_predicted",
        "text": f"the models could not predict it: {message}"[:300],
        "value": None,
    }


def _open_at_random(images: Iterable[Image]) -> int:
    """Items before any model: by lot, cultures and batches taking turns so that all are seen
    early.
    """
    seen: Counter[tuple[str, str]] = Counter()
    items = []
    for image in sorted(images, key=draw_lot):
        turn = seen[image.culture, image.batch]
        seen[image.culture, image.batch] += 1
        score = 1 / (1 + turn + draw_lot(image))
        items.append(QueueItem(image=image, score=score, reasons=[NO_MODEL]))
    return _open(items)


def _open(items: Iterable[QueueItem]) -> int:
    """Insert items; one that another worker has opened meanwhile stays as it is."""
    fresh = list(items)
    QueueItem.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=500)
    return len(fresh)


def queue_next(
    *,
    dataset: Dataset,
    annotator: User,
    draw: Callable[[], float] = random.random,
) -> QueueItem | None:
    """Lease the image to correct next to ``annotator``; ``None`` when none is free.

    Who holds a lease gets the same item again. ``draw`` gives a number in [0, 1) that decides
    whether this ask is answered with an image that measures the models.
    """
    item = _lease(dataset, annotator, draw)
    if item is None:
        queue_refresh(dataset=dataset)
        # Even if that changed nothing: another ask may have filled the queue in between.
        item = _lease(dataset, annotator, draw)
    return item


@transaction.atomic
def _lease(dataset: Dataset, annotator: User, draw: Callable[[], float]) -> QueueItem | None:
    # One ask of a person at a time: two tabs must not get two leases.
    users = get_user_model().objects.select_for_update(no_key=True)
    users.filter(pk=annotator.pk).first()
    held = reads.lease_of(dataset, annotator, timezone.now())
    if held is not None:
        return _renewed(held, dataset, annotator)
    check = check_open(dataset=dataset, annotator=annotator, draw=draw)
    if check is not None:
        return check
    measuring_first = draw() < MEASURING_SHARE
    for measuring in (measuring_first, not measuring_first):
        kind = reads.is_measuring() if measuring else ~reads.is_measuring()
        item = _lease_one(dataset, annotator, kind)
        if item is not None:
            return item
    return None


def _lease_one(dataset: Dataset, annotator: User, kind: Q) -> QueueItem | None:
    while True:
        now = timezone.now()
        # A refresh may open an item by what it read before somebody submitted the image.
        free = reads.free_items(dataset, now).exclude(reads.is_answered(dataset))
        candidates = list(free.filter(kind)[:_TRIES])
        for item in candidates:
            until = now + timedelta(minutes=dataset.lease_minutes)
            taken = QueueItem.objects.filter(
                reads.is_free(now), pk=item.pk, closed_at__isnull=True
            ).update(annotator=annotator, leased_until=until)
            if taken == 1:
                item.annotator, item.leased_until = annotator, until
                return item
        if len(candidates) < _TRIES:
            return None


def _renewed(item: QueueItem, dataset: Dataset, annotator: User) -> QueueItem:
    item.leased_until = timezone.now() + timedelta(minutes=dataset.lease_minutes)
    QueueItem.objects.filter(pk=item.pk, annotator=annotator, closed_at__isnull=True).update(
        leased_until=item.leased_until
    )
    return item


def queue_heartbeat(*, item: QueueItem, annotator: User) -> QueueItem:
    """Hold ``item`` for another lease; ``Conflict`` when it is not ``annotator``'s any more.

    A lease that ran out is taken up again as long as nobody else has taken the image: a laptop
    that slept must not cost its owner the work.
    """
    until = timezone.now() + timedelta(minutes=item.image.dataset.lease_minutes)
    _hold(item, annotator, leased_until=until)
    item.refresh_from_db()
    return item


def queue_release(*, item: QueueItem, annotator: User) -> None:
    """Give ``item`` back for others to take; one that nobody holds is left as it is.

    The same request may so be repeated. ``Conflict`` when it is closed or another's.
    """
    if item.kind != Kind.ASK:  # nobody else is to be asked
        _hold(
            item,
            annotator,
            closed_at=timezone.now(),
            outcome=Outcome.STALE,
            leased_until=None,
        )
        return
    free = QueueItem.objects.filter(pk=item.pk, annotator=None, closed_at__isnull=True)
    if not free.exists():
        _hold(item, annotator, annotator=None, leased_until=None)


def queue_skip(*, item: QueueItem, annotator: User, reason: str) -> None:
    """Close ``item`` as not worth correcting; a later prediction may bring the image back.

    The same request may be repeated. ``Conflict`` when it is not ``annotator``'s.
    """
    if not reason.strip():
        raise BadInput("Say in a few words why the image is skipped.", fields={"reason": []})
    note = reason.strip()[:300]
    done = QueueItem.objects.filter(
        pk=item.pk, annotator=annotator, outcome=Outcome.SKIPPED, note=note
    )
    if done.exists():
        return
    _hold(
        item,
        annotator,
        closed_at=timezone.now(),
        outcome=Outcome.SKIPPED,
        note=note,
        leased_until=None,
    )


def queue_item_close(*, image: Image, outcome: str) -> None:
    """Close the image's open item, whoever holds it."""
    QueueItem.objects.filter(image=image, closed_at__isnull=True, kind=Kind.ASK).update(
        closed_at=timezone.now(), outcome=outcome, leased_until=None
    )


def _hold(item: QueueItem, holder: User, **changes: Any) -> None:
    """Change the row if it is open and ``holder``'s; else say what became of it."""
    mine = QueueItem.objects.filter(pk=item.pk, annotator=holder, closed_at__isnull=True)
    if mine.update(**changes) == 1:
        return
    item.refresh_from_db()
    if item.closed_at is not None:
        raise Conflict(f"{item.image.name} has left the queue; ask for the next image.")
    if item.annotator is None:
        raise Conflict(f"You do not hold {item.image.name}; ask for the next image to lease one.")
    raise Conflict(
        f"{item.image.name} is in the hands of {item.annotator}; ask for the next image."
    )

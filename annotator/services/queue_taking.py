"""Leasing one certain item of the queue, instead of the one that would come next."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from annotator.exceptions import Conflict, HoldsAnother, NotHere
from annotator.models import Kind, QueueItem
from annotator.selectors import queue as reads
from annotator.services.queue import queue_heartbeat


@transaction.atomic
def queue_take(*, item: QueueItem, annotator: User) -> QueueItem:
    """Lease exactly ``item`` to ``annotator``; who holds it already holds it for another lease.

    Taken by one conditional UPDATE, as any lease: of two who want it one gets it.

    Raises:
        NotHere: the item is not for choosing.
        Conflict: it is closed or in other hands.
        HoldsAnother: it could be had, but ``annotator`` holds another image.
    """
    # One ask of a person at a time: two tabs must not get two leases.
    users = get_user_model().objects.select_for_update(no_key=True)
    users.filter(pk=annotator.pk).first()
    now = timezone.now()
    dataset = item.image.dataset
    held = reads.lease_of(dataset, annotator, now)
    if held is not None and held.pk == item.pk:
        return queue_heartbeat(item=item, annotator=annotator)
    if item.kind != Kind.ASK:
        raise NotHere(f"There is no queue item {item.pk}.")
    free = QueueItem.objects.filter(reads.is_free(now), pk=item.pk, closed_at__isnull=True)
    if held is not None:
        if free.exists():
            raise HoldsAnother(
                f"You hold {held.image.name} already: submit it, skip it or give it back, then "
                "take another."
            )
        taken = 0
    else:
        until = now + timedelta(minutes=dataset.lease_minutes)
        # A refresh may have opened it by what it read before somebody submitted the image.
        taken = free.exclude(reads.is_answered(dataset)).update(
            annotator=annotator, leased_until=until
        )
    item.refresh_from_db()
    if taken == 1:
        return item
    if item.closed_at is not None or item.leased_until is None or item.leased_until <= now:
        raise Conflict(f"{item.image.name} has left the queue; choose another.")
    raise Conflict(f"{item.image.name} is in the hands of {item.annotator}; choose another.")

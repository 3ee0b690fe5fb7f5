"""Reads for Prometheus: how much of everything there is."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db.models import Count, Q
from django.utils import timezone

from annotator.models import Dataset, Image, Prediction, QueueItem, Revision, RunStatus, TrainingRun

Figure = tuple[str, str, list[tuple[dict[str, str], int]]]


def figures() -> list[Figure]:
    """(name, explanation, [(labels, value), …]) of every gauge."""
    held = Q(leased_until__gt=timezone.now())
    queue = QueueItem.objects.filter(closed_at__isnull=True).aggregate(
        leased=Count("id", filter=held), open=Count("id")
    )
    runs = dict.fromkeys(RunStatus.values, 0) | dict(
        TrainingRun.objects.order_by().values_list("status").annotate(Count("id"))
    )
    return [
        ("users", "Accounts.", [({}, get_user_model().objects.count())]),
        ("datasets", "Data sets.", [({}, Dataset.objects.count())]),
        ("images", "Images.", [({}, Image.objects.count())]),
        ("predictions", "Predictions kept.", [({}, Prediction.objects.count())]),
        ("revisions", "Revisions.", [({}, Revision.objects.count())]),
        (
            "queue_items",
            "Open queue items.",
            [
                ({"state": "leased"}, queue["leased"]),
                ({"state": "free"}, queue["open"] - queue["leased"]),
            ],
        ),
        (
            "training_runs",
            "Training runs by status.",
            [({"status": status}, count) for status, count in runs.items()],
        ),
    ]

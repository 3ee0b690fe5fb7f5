"""Images waiting for an annotator. A lease is a time, so its expiry needs no job."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotator.models.images import Image


class Outcome(models.TextChoices):
    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    STALE = "stale"  # a newer prediction or a revision made the item moot


class QueueItem(models.Model):
    """An image to correct. Open while ``closed_at`` is null; leased while leased_until > now."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="queue_items")
    prediction = models.ForeignKey(
        "annotator.Prediction", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    score = models.FloatField()  # higher is asked first
    reasons = models.JSONField(default=list)  # [{"code", "text", "value"}]
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    leased_until = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    note = models.CharField(max_length=300, blank=True)  # why it was skipped
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image"], condition=Q(closed_at__isnull=True), name="queueitem_open_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["-score", "id"],
                condition=Q(closed_at__isnull=True),
                name="queueitem_open_by_score",
            )
        ]

    def __str__(self) -> str:
        return f"{self.image} ({self.score:.2f})"

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


class Kind(models.TextChoices):
    ASK = "ask"
    GOLD = "gold"  # the truth is known: it measures who answers
    REPEAT = "repeat"  # answered before by the same person: measures how alike the answers are


class QueueItem(models.Model):
    """An image to correct. Open while ``closed_at`` is null; leased while leased_until > now."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="queue_items")
    prediction = models.ForeignKey(
        "annotator.Prediction", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    kind = models.CharField(
        max_length=10, choices=Kind.choices, default=Kind.ASK, db_default=Kind.ASK
    )
    region = models.JSONField(null=True, blank=True)  # [x0, y0, x1, y1] px; null: the whole image
    minutes = models.FloatField(null=True)  # that the work is expected to take
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
                fields=["image"],
                condition=Q(closed_at__isnull=True, kind="ask"),
                name="queueitem_open_once",
            ),
            models.UniqueConstraint(
                fields=["image", "annotator"],
                condition=Q(closed_at__isnull=True) & ~Q(kind="ask"),
                name="queueitem_check_once",
            ),
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


class Check(models.Model):
    """What a gold or repeated item said of who answered it; the image's revisions stay."""

    item = models.OneToOneField(QueueItem, on_delete=models.CASCADE, related_name="check_result")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="checks"
    )
    # What it was compared with: the truth, or the person's own earlier answer.
    reference = models.ForeignKey("annotator.Revision", on_delete=models.CASCADE, related_name="+")
    labels_key = models.CharField(max_length=200)
    types = models.JSONField(default=dict)  # {label: type name}
    figures = models.JSONField()  # {"ap50", "pq", "type_agreement", "count_error", "cells"}
    seconds_spent = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.annotator} on {self.item}"

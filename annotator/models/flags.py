"""Flags: an annotator asks the managers to look at an image."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotator.models.images import Image


class Flag(models.Model):
    """A question or doubt about an image, open until a manager resolves it."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="flags")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="flags"
    )
    note = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)  # null: open
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["image"], condition=Q(resolved_at__isnull=True), name="flag_open")
        ]

    def __str__(self) -> str:
        return f"flag on {self.image}: {self.note[:40]}"

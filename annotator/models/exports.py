"""Exports asked for over REST or in the browser."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotator.models.datasets import Dataset


class ExportStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Export(models.Model):
    """A zip of one format, written by a worker; downloadable when done."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    format = models.CharField(max_length=20)  # coco, cellpose, csv, bundle
    source = models.CharField(max_length=12)  # revisions, predictions; of a bundle the family
    options = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )  # of a bundle {"base", "config"}
    split = models.CharField(max_length=10, blank=True)
    status = models.CharField(
        max_length=10, choices=ExportStatus.choices, default=ExportStatus.QUEUED
    )
    key = models.CharField(max_length=200, blank=True)  # exports/<id>.zip
    images = models.PositiveIntegerField(default=0)
    cells = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)  # when its worker was last heard of
    tries = models.PositiveIntegerField(default=0)  # workers that began it, but for those stopped
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"export {self.pk} ({self.format})"

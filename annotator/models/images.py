"""Uploaded images. Progress is never stored here: it is a question asked in selectors."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotator.models.datasets import CellType, Dataset

MIXED = "mixed"  # Image.culture of a mixed culture; else a type's name, or "" when unknown


class Split(models.TextChoices):
    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Image(models.Model):
    """One uploaded file; its bytes lie unchanged in object storage under ``key``."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=255)  # file name with extension
    sha256 = models.CharField(max_length=64)
    key = models.CharField(max_length=200)  # images/<sha256[:2]>/<sha256>
    size_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    channel_count = models.PositiveSmallIntegerField()  # as read, before roles are applied
    dtype = models.CharField(max_length=10)  # numpy name: uint8, uint16, float32
    pixel_size_um = models.FloatField(null=True, blank=True)
    split = models.CharField(max_length=10, choices=Split.choices)
    group = models.CharField(max_length=120)  # what the sticky split hashes
    culture = models.CharField(max_length=40, blank=True)  # type name, "mixed" or ""
    culture_type = models.ForeignKey(
        CellType, null=True, blank=True, on_delete=models.RESTRICT, related_name="+"
    )
    batch = models.CharField(max_length=60, blank=True)
    well = models.CharField(max_length=60, blank=True)
    field = models.CharField(max_length=60, blank=True)
    # Its head revision is the truth that annotators are measured by.
    gold = models.BooleanField(default=False, db_default=False)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="image_bytes_once"),
        ]
        indexes = [
            models.Index(fields=["dataset", "split"], name="image_split"),
            # Each upload asks for the split that its group has.
            models.Index(fields=["dataset", "group"], name="image_group"),
        ]

    def __str__(self) -> str:
        return self.name

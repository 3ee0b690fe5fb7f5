"""Data sets and their cell types."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Asking(models.TextChoices):
    """What an annotator is handed at a time."""

    IMAGE = "image"
    REGION = "region"  # a window of an image, of some minutes' work
    CELL = "cell"  # single cells, to accept, retype or reject


def default_channels() -> list[str]:
    return ["cytoplasm", "nucleus"]


class Dataset(models.Model):
    """Images of one experiment, read with one channel layout and one set of cell types."""

    name = models.SlugField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    # Role of each channel in file order; "-" ignores one, "nucleus" alone is allowed.
    channels = models.JSONField(default=default_channels)
    type_pattern = models.CharField(max_length=200, default="{type}_{batch}_{field}", blank=True)
    # Retraining: after this many newly corrected cells (0 = never), and every so many hours.
    retrain_after_cells = models.PositiveIntegerField(default=200)
    retrain_every_hours = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    # A later version that is not worse is promoted by itself; a family's first always is.
    auto_promote = models.BooleanField(default=False)
    # What a single type may lose of its F1 on the test images in a promotion, 0 … 1.
    type_margin = models.FloatField(
        default=0.05, db_default=0.05, validators=[MinValueValidator(0), MaxValueValidator(1)]
    )
    asking = models.CharField(
        max_length=10, choices=Asking.choices, default=Asking.IMAGE, db_default=Asking.IMAGE
    )
    # Of inference.strategies_novelty.EVERY, for training images.
    strategy = models.CharField(max_length=40, default="uncertainty", db_default="uncertainty")
    region_minutes = models.PositiveIntegerField(
        default=3, db_default=3, validators=[MinValueValidator(1)]
    )
    # Of so many asks of a person one is an image whose truth is known, and one of the person's own
    # again; 0: never.
    gold_every = models.PositiveIntegerField(default=0, db_default=0)
    repeat_every = models.PositiveIntegerField(default=0, db_default=0)
    lease_minutes = models.PositiveIntegerField(default=30, validators=[MinValueValidator(1)])
    # Overrides of training.config.TrainConfig per family: {"segmenter": {...}, "detector": {...}}
    training = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def training_overrides(self, family: str) -> dict[str, Any]:
        """Config keys set for this data set and ``family``."""
        return dict(self.training.get(family, {}))


class CellType(models.Model):
    """One kind of cell, e.g. HEK. ``index`` orders types; its digit key is index + 1."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="types")
    name = models.CharField(max_length=40)
    index = models.PositiveSmallIntegerField()
    color = models.CharField(max_length=7)  # "#rrggbb"

    class Meta:
        ordering = ["dataset", "index"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="celltype_name"),
            models.UniqueConstraint(fields=["dataset", "index"], name="celltype_index"),
        ]

    def __str__(self) -> str:
        return self.name

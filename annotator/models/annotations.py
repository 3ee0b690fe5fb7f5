"""Revisions of an image's labels: append-only. The head revision is the highest number."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotator.models.datasets import CellType
from annotator.models.images import Image


class TypeSource(models.TextChoices):
    HUMAN = "human"
    FILE_NAME = "file_name"
    MODEL = "model"


# Source of a revision in which somebody answered for cells of a list, not for the image.
GALLERY = "gallery"


class Revision(models.Model):
    """A whole label image by one author. Number 1 is the first; its parent is null."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    parent = models.ForeignKey("self", null=True, on_delete=models.RESTRICT, related_name="+")
    # The prediction the annotator began with, to count what was corrected.
    prediction = models.ForeignKey(
        "annotator.Prediction", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    source = models.CharField(max_length=10)  # browser, rest, import, gallery
    labels_key = models.CharField(max_length=200)
    # [[x0, y0, x1, y1], …] px, half-open; null means the whole image is complete.
    complete_regions = models.JSONField(null=True, blank=True)
    cell_count = models.PositiveIntegerField()
    corrected_cells = models.PositiveIntegerField()  # changed, added, deleted or retyped
    seconds_spent = models.FloatField(null=True)
    note = models.CharField(max_length=300, blank=True)
    # False: it was taken back since, or takes another one back, and counts nowhere as work.
    is_work = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["image", "number"]
        constraints = [models.UniqueConstraint(fields=["image", "number"], name="revision_number")]

    def __str__(self) -> str:
        return f"{self.image} revision {self.number}"


class Cell(models.Model):
    """One instance of a revision's label image."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="cells")
    label = models.PositiveIntegerField()
    type = models.ForeignKey(CellType, null=True, on_delete=models.RESTRICT, related_name="+")
    type_source = models.CharField(max_length=10, choices=TypeSource.choices, blank=True)
    bbox = models.JSONField()  # [x0, y0, x1, y1], px, half-open
    area = models.PositiveIntegerField()  # px²
    centroid = models.JSONField()  # [x, y], px
    # The mask's pixel nearest to the centroid; null: stored before there was one.
    inner_x = models.PositiveIntegerField(null=True)
    inner_y = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["label"]
        constraints = [models.UniqueConstraint(fields=["revision", "label"], name="cell_label")]

    def __str__(self) -> str:
        return f"cell {self.label} of {self.revision}"

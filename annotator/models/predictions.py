"""What a pair of models says about an image."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotator.models.datasets import CellType
from annotator.models.images import Image


class Prediction(models.Model):
    """Label image and typed cells of one image by one model pair (the detector may be absent)."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="predictions")
    segmenter = models.ForeignKey(
        "annotator.ModelVersion", on_delete=models.CASCADE, related_name="+"
    )
    detector = models.ForeignKey(
        "annotator.ModelVersion", null=True, on_delete=models.CASCADE, related_name="+"
    )
    labels_key = models.CharField(max_length=200)
    # The segmenter's flows, for other thresholds and added cells; "" = not kept.
    flows_key = models.CharField(max_length=200, blank=True)
    cell_count = models.PositiveIntegerField()
    uncertainty = models.FloatField()  # 0 … 1, of the whole image
    missed = models.FloatField(default=0.0, db_default=0.0)  # cells expected that no mask shows
    # [[x, y, cells], …] px: where
    missed_at = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    # Over its cells: {"wrong": cells expected to be, "committee", "views": means, "types": {…}}
    summary = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    # The segmenter's style vector, float16 little-endian; null: made by an older release.
    style = models.BinaryField(null=True)
    reasons = models.JSONField(default=list)  # [{"code", "text", "value"}]
    diameter = models.FloatField()  # px, used or estimated
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image", "segmenter", "detector"], name="prediction_once"
            ),
            models.UniqueConstraint(
                fields=["image", "segmenter"],
                condition=Q(detector__isnull=True),
                name="prediction_once_alone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image} by {self.segmenter} and {self.detector}"


class PredictedCell(models.Model):
    """One instance of a prediction's label image."""

    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="cells")
    label = models.PositiveIntegerField()
    type = models.ForeignKey(CellType, null=True, on_delete=models.RESTRICT, related_name="+")
    score = models.FloatField()  # 0 … 1, that the cell exists
    probabilities = models.JSONField(default=dict)  # {type name: probability}
    uncertainty = models.FloatField()  # 0 … 1, combined
    terms = models.JSONField(default=dict)  # of inference.uncertainty: 0 … 1 each
    embedding = models.BinaryField(null=True)  # (64,) float16 little-endian, of unit length
    seen_by = models.CharField(max_length=10)  # both, segmenter, detector
    bbox = models.JSONField()  # [x0, y0, x1, y1], px, half-open
    area = models.PositiveIntegerField()  # px²
    centroid = models.JSONField()  # [x, y], px
    # The mask's pixel nearest to the centroid; null: stored before there was one.
    inner_x = models.PositiveIntegerField(null=True)
    inner_y = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["label"]
        constraints = [
            models.UniqueConstraint(fields=["prediction", "label"], name="predictedcell_label")
        ]

    def __str__(self) -> str:
        return f"cell {self.label} of {self.prediction}"


class Verdict(models.TextChoices):
    ACCEPTED = "accepted"
    RETYPED = "retyped"
    REJECTED = "rejected"  # it is no cell


class CellQuestion(models.Model):
    """A predicted cell that somebody was asked about. Its lease is a time, as a queue item's."""

    cell = models.OneToOneField(PredictedCell, on_delete=models.CASCADE, related_name="question")
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    leased_until = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    seconds_spent = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.cell}: {self.verdict or 'asked'}"


class PlaceQuestion(models.Model):
    """A place where a cell seems to be that no mask shows, and that somebody was asked about."""

    prediction = models.ForeignKey(Prediction, on_delete=models.CASCADE, related_name="places")
    place = models.PositiveIntegerField()  # of the prediction's ``missed_at``, from 0
    x = models.FloatField()  # px
    y = models.FloatField()  # px
    cells = models.FloatField()  # that seem to be there
    # What is offered as the cell's mask: [[y, x0, x1], …] px, half-open; [] where it has no room:
    # then it was closed at once.
    spans = models.JSONField(default=list)
    crop = models.JSONField(default=dict)  # {"picture", "outline", "side"} as of cells
    annotator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    leased_until = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    type = models.CharField(max_length=40, blank=True)  # that was given
    seconds_spent = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prediction", "place"], name="placequestion_once")
        ]

    def __str__(self) -> str:
        return f"place {self.place} of {self.prediction}: {self.verdict or 'asked'}"


class PredictionAttempt(models.Model):
    """An image that a worker is predicting or could not predict; gone once it is predicted.

    Nobody tries again before ``retry_after``, so workers share the images between them and one
    that kills its worker does not do so for ever.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="prediction_attempt")
    segmenter = models.ForeignKey(
        "annotator.ModelVersion", on_delete=models.CASCADE, related_name="+"
    )
    detector = models.ForeignKey(
        "annotator.ModelVersion", null=True, on_delete=models.CASCADE, related_name="+"
    )
    tries = models.PositiveIntegerField(default=1)
    message = models.TextField(blank=True)  # why the last try failed; "" while the first runs
    retry_after = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.image}: {self.message or 'being predicted'}"

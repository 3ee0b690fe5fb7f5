"""Work in progress: what an annotator has not submitted yet, and what they like to see."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotator.models.datasets import Dataset
from annotator.models.images import Image


class Draft(models.Model):
    """One person's unsubmitted work on one image; replaced by each autosave, gone on submit."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="drafts")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts"
    )
    base_number = models.PositiveIntegerField()  # head revision the work began with; 0 = none
    prediction = models.ForeignKey(
        "annotator.Prediction", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    labels_key = models.CharField(max_length=200)  # drafts/…, this draft's own
    # What the browser needs to go on: cells, regions, seconds spent. The server reads `writer`.
    document = models.JSONField()
    saved_at = models.DateTimeField()  # by the author's clock: the newest of several wins
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]
        constraints = [models.UniqueConstraint(fields=["image", "author"], name="draft_once")]

    def __str__(self) -> str:
        return f"draft of {self.author} on {self.image}"


class Preference(models.Model):
    """How one person looks at one data set's images: contrast, colours, keys."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="preferences")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences"
    )
    values = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "user"], name="preference_once")]

    def __str__(self) -> str:
        return f"preferences of {self.user} in {self.dataset}"

"""Who may do what in a data set."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from annotator.models.datasets import Dataset


class Role(models.TextChoices):
    VIEWER = "viewer"  # sees and exports everything
    ANNOTATOR = "annotator"  # also leases, corrects, submits
    MANAGER = "manager"  # also uploads, trains, promotes, invites


class Membership(models.Model):
    """A user's role in a data set. Superusers are managers of every data set."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.ANNOTATOR)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} ({self.role}) in {self.dataset}"

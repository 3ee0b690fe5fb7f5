"""Searches for better training settings, and their trials."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotator.models.datasets import Dataset
from annotator.models.runs import Family, ModelVersion, Snapshot, TrainingRun


class SearchStatus(models.TextChoices):
    QUEUED = "queued"
    SEARCHING = "searching"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def over(cls) -> list[str]:
        """The statuses from which a search never moves on."""
        return [cls.DONE, cls.FAILED, cls.CANCELLED]


class TrialState(models.TextChoices):
    WAITING = "waiting"
    TRAINING = "training"
    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def live(cls) -> list[str]:
        """The states that a worker still has to do with."""
        return [cls.WAITING, cls.TRAINING]


def _study_name() -> str:
    return str(uuid.uuid4())


class Search(models.Model):
    """Trials of one family on one snapshot. The best trial's model becomes ``run``'s candidate."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="searches")
    family = models.CharField(max_length=10, choices=Family.choices)
    status = models.CharField(
        max_length=10, choices=SearchStatus.choices, default=SearchStatus.QUEUED
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.RESTRICT, related_name="+")
    # Start weights as of a training run; config holds what all trials have in common.
    base = models.ForeignKey(ModelVersion, null=True, on_delete=models.SET_NULL, related_name="+")
    had_base = models.BooleanField(default=False, db_default=False)  # also when it is deleted
    config = models.JSONField(default=dict)  # overrides of training.config.TrainConfig
    space = models.JSONField()  # of training.search_space.as_json
    wanted = models.PositiveIntegerField()  # trials
    minutes = models.FloatField(null=True)  # that each trial may train; null: as a training does
    # Optuna's name for it. A row's number would meet the study of another row after a restore.
    study = models.CharField(max_length=36, default=_study_name, unique=True)
    best = models.ForeignKey("SearchTrial", null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.OneToOneField(
        TrainingRun, null=True, on_delete=models.SET_NULL, related_name="search"
    )
    message = models.TextField(blank=True)  # what happened, in one sentence
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)  # when its snapshot was taken
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "family"],
                condition=Q(status__in=["queued", "searching"]),
                name="search_one_live",
            )
        ]

    def __str__(self) -> str:
        return f"search {self.pk} ({self.family})"

    @property
    def lost_base(self) -> bool:
        """Whether the version that its trials start from was deleted."""
        return self.had_base and self.base_id is None


class SearchTrial(models.Model):
    """One configuration of a search. Whoever trains it beats ``heartbeat_at``."""

    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()  # from 1; trial 1 has the settings nearest to the usual
    state = models.CharField(max_length=10, choices=TrialState.choices, default=TrialState.WAITING)
    params = models.JSONField(null=True)  # settings it varies; null until a worker has asked
    study_number = models.PositiveIntegerField(null=True)  # Optuna's, of the latest attempt
    value = models.FloatField(null=True)  # best validation score so far; higher is better
    # [{"epoch", "epochs", "score", "train_loss", "validation_loss", "metrics", "seconds"}]
    epochs = models.JSONField(default=list)
    # Of each of these epochs the learning rate's progress at every step, where minutes bound the
    # trial: too long for those who only follow it.
    schedules = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    message = models.TextField(blank=True)  # why it ended early
    weights = models.CharField(max_length=120, blank=True)  # object-storage folder of its model
    claim = models.CharField(max_length=36, blank=True)  # uuid of the worker that holds it
    heartbeat_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)  # claims since the last epoch that was recorded
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["search", "number"]
        constraints = [
            models.UniqueConstraint(fields=["search", "number"], name="searchtrial_number")
        ]

    def __str__(self) -> str:
        return f"{self.search} trial {self.number}"

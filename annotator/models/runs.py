"""Snapshots, training runs, model versions and their evaluations."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from annotator.models.datasets import Dataset


class Family(models.TextChoices):
    SEGMENTER = "segmenter"
    DETECTOR = "detector"


class Stage(models.TextChoices):
    CANDIDATE = "candidate"
    CURRENT = "current"
    RETIRED = "retired"


class RunStatus(models.TextChoices):
    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def over(cls) -> list[str]:
        """The statuses from which a run never moves on by itself."""
        return [cls.DONE, cls.FAILED, cls.CANCELLED]


class Snapshot(models.Model):
    """A frozen training set. ``hash`` covers every image, label image, type and split in it."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="snapshots")
    family = models.CharField(max_length=10, choices=Family.choices)
    hash = models.CharField(max_length=64)
    # [{"image", "revision" | "prediction"}]: enough to write the folder again anywhere.
    entries = models.JSONField()
    counts = models.JSONField(default=dict)  # {"train": {"images", "cells"}, …}
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "family", "hash"], name="snapshot_once")
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.hash[:12]}"


class ModelVersion(models.Model):
    """Weights with their meta. Printed and addressed as e.g. ``segmenter-3``."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="versions")
    family = models.CharField(max_length=10, choices=Family.choices)
    number = models.PositiveIntegerField()
    stage = models.CharField(max_length=10, choices=Stage.choices, default=Stage.CANDIDATE)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    key = models.CharField(max_length=200)  # object-storage folder: weights.safetensors, meta.json
    sha256 = models.CharField(max_length=64)  # of weights.safetensors
    meta = models.JSONField(default=dict)  # inference.checkpoint.ModelMeta as JSON
    # Whether the gate let it pass when it was made; null: it was not compared with another.
    passed_gate = models.BooleanField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    promoted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "family", "number"], name="modelversion_number"
            ),
            models.UniqueConstraint(
                fields=["dataset", "family"],
                condition=Q(stage="current"),
                name="modelversion_one_current",
            ),
        ]

    def __str__(self) -> str:
        return self.version

    @property
    def version(self) -> str:
        """Its name in commands and pages, e.g. ``segmenter-3``."""
        return f"{self.family}-{self.number}"


class TrainingRun(models.Model):
    """One training of one family. Whoever works on it beats ``heartbeat_at``."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="runs")
    family = models.CharField(max_length=10, choices=Family.choices)
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    reason = models.CharField(max_length=200)  # why it was started, in words
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.RESTRICT, related_name="+")
    # Start weights: a version, else config["start"] ("scratch" or a built-in cellpose name).
    base = models.ForeignKey(ModelVersion, null=True, on_delete=models.SET_NULL, related_name="+")
    had_base = models.BooleanField(default=False, db_default=False)  # also when it is deleted
    candidate = models.OneToOneField(
        ModelVersion, null=True, on_delete=models.SET_NULL, related_name="run"
    )
    config = models.JSONField(default=dict)  # overrides of training.config.TrainConfig
    # Storage key of a model that was trained elsewhere and waits for a worker to take it in.
    arrival = models.CharField(max_length=100, blank=True, db_default="")
    # The version that this run makes again, to compare; such a run promotes nothing.
    rebuilds = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.SET_NULL, related_name="rebuilt_by"
    )
    # Said once more, for when that version is deleted: it must not become a run that promotes.
    is_rebuild = models.BooleanField(default=False, db_default=False)
    epoch = models.PositiveIntegerField(default=0)
    epochs = models.PositiveIntegerField(default=0)
    seconds_left = models.FloatField(null=True)  # of its training
    message = models.TextField(blank=True)  # what happened, in one sentence
    log = models.TextField(blank=True, db_default="")  # its last lines
    # {"host", "device", "memory_mb"} of who works on it
    machine = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    # {"step", "done", "of", "seconds_left"} in images while it is prepared or evaluated, else empty
    progress = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    cancel_requested = models.BooleanField(default=False)
    claim = models.CharField(max_length=36, blank=True)  # uuid of the worker that holds it
    heartbeat_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)  # claims since the last epoch that was recorded
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Two clicks, or the policy and a person at once, make one run.
            models.UniqueConstraint(
                fields=["dataset", "family"],
                condition=Q(status__in=["queued", "preparing", "training", "evaluating"]),
                name="trainingrun_one_live",
            )
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.family})"

    @property
    def lost_base(self) -> bool:
        """Whether the version that it starts from was deleted."""
        return self.had_base and self.base_id is None

    @property
    def time_left(self) -> float | None:
        """Seconds that the step it is at will take; None while nobody can tell."""
        if self.status in (RunStatus.PREPARING, RunStatus.EVALUATING):
            return self.progress.get("seconds_left")
        return self.seconds_left if self.status == RunStatus.TRAINING else None


class RunEpoch(models.Model):
    """One point of a run's learning curves."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="epoch_rows")
    epoch = models.PositiveIntegerField()  # from 1
    train_loss = models.FloatField()
    validation_loss = models.FloatField(null=True)
    metrics = models.JSONField(default=dict)  # {"ap50": …} on the validation split
    seconds = models.FloatField()
    # Share of its training, 0 … 1, in which the next batch was not there yet; null: nobody told.
    waiting = models.FloatField(null=True)
    # The learning rate's progress at each step, where minutes bound the run: rebuilds follow it.
    schedule = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))

    class Meta:
        ordering = ["run", "epoch"]
        constraints = [models.UniqueConstraint(fields=["run", "epoch"], name="runepoch_once")]

    def __str__(self) -> str:
        return f"{self.run} epoch {self.epoch}"


class Evaluation(models.Model):
    """Metrics of one version on one frozen set of labelled images."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="evaluations")
    split = models.CharField(max_length=10)
    frozen_hash = models.CharField(max_length=64)  # of the images and labels evaluated on
    images = models.PositiveIntegerField()
    metrics = models.JSONField()  # keys of the model_evaluate contract
    per_image = models.JSONField(default=list)  # [{"image", "ap50", …}] for paired comparison
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "split", "frozen_hash"], name="evaluation_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} on {self.split}"


class Fusion(models.Model):
    """How a pair's cells become one label image, and how good that is beside each model alone."""

    segmenter = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="+")
    detector = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="fusions")
    rule = models.JSONField()  # inference.fusion_rule.FusionRule as JSON
    images = models.PositiveIntegerField()  # validation images it was fitted on
    split = models.CharField(max_length=10)  # that ``figures`` are of
    figures = models.JSONField()  # of training.fusion_fit.measure_rule
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["segmenter", "detector"], name="fusion_once")
        ]

    def __str__(self) -> str:
        return f"{self.segmenter} with {self.detector}"

"""Reads over training runs: which need a worker, and what the retraining policy asks about."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Prefetch, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from annotator.models import (
    Cell,
    Dataset,
    Image,
    Prediction,
    Revision,
    RunEpoch,
    RunStatus,
    Split,
    TrainingRun,
)
from annotator.selectors.composition import head_revisions
from training.config import TrainConfig
from training.errors import TrainingError


def is_silent(now: datetime) -> Q:
    """The condition that no living worker holds a run."""
    limit = now - timedelta(seconds=settings.HEARTBEAT_SECONDS)
    return Q(claim="") | Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=limit)


def live_runs() -> QuerySet[TrainingRun]:
    """Runs that are not over."""
    return TrainingRun.objects.exclude(status__in=RunStatus.over())


def waiting_runs(now: datetime) -> QuerySet[TrainingRun]:
    """Live runs that no worker holds: never taken, or their worker died. Oldest first."""
    return live_runs().filter(is_silent(now)).order_by("id")


def runs_of(*datasets: Dataset | int) -> QuerySet[TrainingRun]:
    """All runs of these data sets, newest first, with what a list shows of them: no log."""
    return (
        TrainingRun.objects.filter(dataset__in=datasets)
        .defer("log")
        .select_related("requested_by", "base", "candidate", "dataset")
        .prefetch_related(curve())
    )


def curve() -> Prefetch:
    """Each run's learning curve, without the progress at every single step."""
    return Prefetch("epoch_rows", RunEpoch.objects.defer("schedule"))


def is_timed(run: TrainingRun) -> bool:
    """Whether minutes end it before its number of epochs does: ``epochs`` is but an estimate."""
    if run.is_rebuild:
        return False
    try:
        config = TrainConfig.for_family(run.family, run.config)
    except TrainingError:  # a setting that there was once
        return False
    config = config.settled(run.had_base or config.start != "scratch")
    return config.minutes > 0 and run.epochs < config.epochs


def last_run(dataset: Dataset, family: str) -> TrainingRun | None:
    """The newest run of ``family``, over or not."""
    return TrainingRun.objects.filter(dataset=dataset, family=family).first()


def last_settled_run(dataset: Dataset, family: str) -> TrainingRun | None:
    """The newest run of ``family`` that did not fail; see ``settled_runs``."""
    return settled_runs(dataset, family).first()


def dealt_with_until(dataset: Dataset, family: str) -> datetime | None:
    """Before when all corrections are dealt with by a run that did not fail; None without one.

    Not by the newest row: a search's best and a model from elsewhere learnt from a snapshot that
    may be older than what a run before them has learnt.
    """
    began = Coalesce("started_at", "created_at")
    latest: datetime | None = settled_runs(dataset, family).aggregate(latest=Max(began))["latest"]
    return latest


def settled_runs(dataset: Dataset, family: str) -> QuerySet[TrainingRun]:
    """Runs of ``family`` that did not fail, newest first.

    Cancelled ones count, lest the policy start again what somebody has stopped. Those that make
    an earlier version again do not: they learn nothing new.
    """
    runs = TrainingRun.objects.filter(dataset=dataset, family=family, is_rebuild=False)
    return runs.exclude(status=RunStatus.FAILED)


def failures_at_the_end(dataset: Dataset, family: str) -> int:
    """How many runs of ``family`` have failed since one did not."""
    settled = last_settled_run(dataset, family)
    runs = TrainingRun.objects.filter(dataset=dataset, family=family, is_rebuild=False)
    return runs.filter(pk__gt=settled.pk if settled else 0).count()


def corrected_since(dataset: Dataset, since: datetime | None) -> tuple[int, int]:
    """(revisions, corrected cells) of training images after ``since``; all of them for None."""
    # Corrected test and validation images measure; a new model would learn nothing from them.
    revisions = Revision.objects.filter(
        image__dataset=dataset, image__split=Split.TRAIN, is_work=True
    )
    if since is not None:
        revisions = revisions.filter(created_at__gt=since)
    found = revisions.aggregate(revisions=Count("pk"), cells=Sum("corrected_cells"))
    return found["revisions"], found["cells"] or 0


def telling_revisions(dataset: Dataset, split: str = "") -> QuerySet[Revision]:
    """Head revisions that say of some place what is true there, by image.

    Without those submitted with no complete region: they neither teach nor measure anything.
    """
    return head_revisions(dataset, split).exclude(complete_regions=[])


def masked_training_images(dataset: Dataset, cells: int) -> int:
    """Training images whose head revision has at least ``cells`` cells."""
    return telling_revisions(dataset, Split.TRAIN).filter(cell_count__gte=cells).count()


def typed_training_images(dataset: Dataset) -> int:
    """Training images that can teach a detector types: by people, or by name and prediction."""
    here = OuterRef("pk")
    # Beat asks every few seconds: joins would multiply revisions, cells and predictions.
    typed = Exists(Cell.objects.filter(revision=here, type__isnull=False))
    named = Q(image__culture_type__isnull=False, cell_count__gt=0)
    taught = telling_revisions(dataset, Split.TRAIN).filter(typed | named)
    told = telling_revisions(dataset, Split.TRAIN).order_by().values("image")
    predicted = Exists(Prediction.objects.filter(image=here, cell_count__gt=0))
    images = Image.objects.filter(dataset=dataset, split=Split.TRAIN, culture_type__isnull=False)
    return taught.count() + images.filter(predicted).exclude(pk__in=told).count()

"""Training runs: starting them, the claim of the worker that holds one, and their end.

A worker holds a run by a claim (a uuid written by a conditional UPDATE) and a heartbeat. Every
write of a worker is conditional on its claim, so one that was thought dead and comes back cannot
spoil the run that another has taken over.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, Conflict, NotReady
from annotator.models import (
    Dataset,
    Family,
    ModelVersion,
    RunEpoch,
    RunStatus,
    Search,
    TrainingRun,
)
from annotator.selectors.runs import (
    is_silent,
    live_runs,
    masked_training_images,
    typed_training_images,
)
from annotator.selectors.versions import current_version, is_version_name, version_by_name
from annotator.services.snapshots import MIN_TRAIN_MASKS
from training.config import TrainConfig
from training.errors import TrainingError

SCRATCH = "scratch"
CURRENT = "current"
LOST_BASE = "The version that it was to start from was deleted. Start another run."
# What a first segmenter starts from when nobody says otherwise.
FIRST_SEGMENTER = "cyto3"
# Workers that a run may cost without an epoch: one that is too large for the memory kills them all.
MOST_TRIES = 3
_DIED = (
    f"Its worker died {MOST_TRIES} times, probably for lack of memory; lower batch_size or crop,"
    " then resume."
)


@dataclass(frozen=True)
class RunRequest:
    """What somebody, or the policy, asks for.

    ``base`` is a version's name, "current", "scratch" or built-in weights' name. None means what
    the current version's first ancestor started from, so that nothing learnt from labels that have
    been corrected since is carried on; before there is one, the data set's own ``start`` or the
    family's usual weights.
    ``config`` overrides keys of ``training.config.TrainConfig``.
    """

    dataset: Dataset
    family: str
    reason: str
    requested_by: User | None = None
    base: str | None = None
    config: dict[str, Any] = field(default_factory=dict)


def run_create(*, request: RunRequest, wake: bool = True) -> TrainingRun:
    """Queue a run; ``wake`` False leaves it to the caller to work on it.

    Raises:
        NotReady: there is nothing to train on yet; says what to do.
        BadInput: an unknown family, start or setting.
        Conflict: a run of this family is live.
    """
    if request.family not in Family.values:
        raise BadInput(f"There is no family {request.family}; use {', '.join(Family.values)}.")
    base, config = start_of(request)
    run_preflight(dataset=request.dataset, family=request.family)
    run = TrainingRun(
        dataset=request.dataset,
        family=request.family,
        reason=request.reason[:200],
        requested_by=request.requested_by,
        base=base,
        config=config,
    )
    return run_queue(run=run, wake=wake)


def run_queue(*, run: TrainingRun, wake: bool = True) -> TrainingRun:
    """Save a new ``run`` for a worker; ``Conflict`` when one of its family is live."""
    run.had_base = run.base_id is not None
    try:
        with transaction.atomic():
            run.save()
            if wake:
                run_wake(run)
    except IntegrityError:
        raise _already_live(run.dataset, run.family) from None
    return run


def run_wake(run: TrainingRun, expires: int | None = None) -> None:
    """Tell a worker of a run that waits, once the transaction commits."""
    enqueue(Job.TAKE_IN if run.arrival else Job.TRAIN, run.pk, expires=expires)


def start_of(request: RunRequest) -> tuple[ModelVersion | None, dict[str, Any]]:
    """The version to start from, if any, and the checked config of the run (``BadInput``)."""
    dataset, family = request.dataset, request.family
    config = dataset.training_overrides(family) | request.config
    base: ModelVersion | None = None
    current = current_version(dataset, family)
    if request.base is None:
        # A start among the settings that somebody asked for is what they want.
        if "start" not in request.config:
            base, start = _first_start(current)
            if start is not None:
                config["start"] = start
            elif base is None and family == Family.SEGMENTER:
                config.setdefault("start", FIRST_SEGMENTER)
    elif request.base == CURRENT:
        if current is None:
            raise BadInput(f"{dataset.name} has no current {family} to continue from.")
        base = current
    elif is_version_name(request.base):
        base = version_by_name(request.dataset, request.base)
        if base.family != request.family:
            raise BadInput(f"{base} is no {request.family} and cannot be the start of one.")
    else:
        config["start"] = request.base
    try:
        TrainConfig.for_family(request.family, config)
    except TrainingError as error:
        raise BadInput(error.message) from error
    return base, config


def _first_start(version: ModelVersion | None) -> tuple[ModelVersion | None, str | None]:
    """What the first ancestor of ``version`` is or started from: imported weights, or a name."""
    if version is None:
        return None, None
    seen = {version.pk}
    while version.parent is not None and version.parent.pk not in seen:
        version = version.parent
        seen.add(version.pk)
    run = TrainingRun.objects.filter(candidate=version).first()
    return (version, None) if run is None else (None, run.config.get("start"))


def _already_live(dataset: Dataset, family: str) -> Conflict:
    live = live_runs().filter(dataset=dataset, family=family).first()
    if live is None:
        return Conflict(f"Another {family} run ended just now; try again.")
    return Conflict(
        f"Run {live.pk} already trains a {family} for {dataset.name} ({live.status});"
        " wait for its end or cancel it."
    )


def run_preflight(*, dataset: Dataset, family: str) -> None:
    """``NotReady`` with what to do when there is nothing to train ``family`` on."""
    if family == Family.SEGMENTER:
        if not masked_training_images(dataset, MIN_TRAIN_MASKS):
            raise NotReady(
                f"{dataset.name} has no training image with at least {MIN_TRAIN_MASKS} masked"
                " cells yet: correct some images of the queue, or import masks (X_masks.tif"
                " beside X.tif)."
            )
        return
    if not dataset.types.exists():
        raise NotReady(f"{dataset.name} has no cell types: add them, then train the detector.")
    if not typed_training_images(dataset):
        raise NotReady(
            f"{dataset.name} has no cells of known type to train a detector on: correct and type"
            " some cells, or upload single-type images (the type in the file name) and let a"
            " segmenter predict them."
        )


def run_claim(*, run_id: int) -> str | None:
    """Take the run for this worker: its claim, or None when it is over or another's.

    A run that has killed ``MOST_TRIES`` workers since its last epoch fails instead.
    """
    now = timezone.now()
    claim = str(uuid.uuid4())
    taken = (
        live_runs()
        .filter(is_silent(now), pk=run_id)
        .update(claim=claim, heartbeat_at=now, tries=F("tries") + 1)
    )
    if taken != 1:
        return None
    if TrainingRun.objects.filter(pk=run_id, claim=claim, tries__gt=MOST_TRIES).exists():
        run_finish(run_id=run_id, claim=claim, status=RunStatus.FAILED, message=_DIED)
        return None
    TrainingRun.objects.filter(pk=run_id, started_at__isnull=True).update(started_at=now)
    return claim


class Order(Enum):
    """What a heartbeat brings back."""

    GO_ON = "go on"
    CANCEL = "cancel"
    LET_GO = "let go"  # the run is another's, or deleted


def run_beat(*, run_id: int, claim: str, told: dict[str, Any] | None = None) -> Order:
    """Say that the worker lives, and hear whether it should go on.

    ``told``: what is new of "log", "machine" and "progress".
    """
    held = TrainingRun.objects.filter(pk=run_id, claim=claim)
    if held.update(heartbeat_at=timezone.now(), **(told or {})) != 1:
        return Order.LET_GO
    cancelled = held.values_list("cancel_requested", flat=True).first()
    return Order.CANCEL if cancelled else Order.GO_ON


def run_change(*, run_id: int, claim: str, **changes: Any) -> bool:
    """Write fields of a held run; False when it is not held by ``claim`` any more."""
    return TrainingRun.objects.filter(pk=run_id, claim=claim).update(**changes) == 1


@transaction.atomic
def run_epoch_record(*, run_id: int, claim: str, point: RunEpoch, epochs: int, left: float) -> None:
    """Keep one point of the learning curve and how much is left (seconds); may be repeated."""
    held = run_change(
        run_id=run_id, claim=claim, epoch=point.epoch, epochs=epochs, seconds_left=left, tries=0
    )
    if held:
        RunEpoch.objects.update_or_create(
            run_id=run_id,
            epoch=point.epoch,
            defaults={
                "train_loss": point.train_loss,
                "validation_loss": point.validation_loss,
                "metrics": point.metrics,
                "seconds": point.seconds,
                "waiting": point.waiting,
                "schedule": point.schedule,
            },
        )


def run_finish(*, run_id: int, claim: str, status: str, message: str) -> bool:
    """End a held run with one sentence; False when it is not held any more."""
    held = TrainingRun.objects.filter(pk=run_id, claim=claim)
    ended = held.update(
        status=status,
        message=message,
        claim="",
        finished_at=timezone.now(),
        seconds_left=None,
        progress={},
    )
    return ended == 1


def run_release(*, run_id: int, claim: str) -> None:
    """Let go of a run that is to go on elsewhere, e.g. because this worker shuts down."""
    # Without the claim a last heartbeat of this worker finds nothing to renew.
    held = TrainingRun.objects.filter(pk=run_id, claim=claim)
    held.update(heartbeat_at=None, claim="", tries=0, progress={})


def run_lost(*, run_id: int, claim: str, why: str) -> None:
    """Leave a run for another worker because the database failed; the last try ends it."""
    if TrainingRun.objects.filter(pk=run_id, claim=claim, tries__gte=MOST_TRIES).exists():
        message = (
            f"The database failed {MOST_TRIES} times ({why[:200]}); ask whoever runs this server,"
            " then resume."
        )
        run_finish(run_id=run_id, claim=claim, status=RunStatus.FAILED, message=message)


def run_cancel(*, run: TrainingRun) -> TrainingRun:
    """Ask the worker to stop; a run that no worker holds ends at once."""
    now = timezone.now()
    message = "Cancelled; what was trained so far is kept, so it can be resumed."
    unheld = live_runs().filter(is_silent(now), pk=run.pk)
    ended = unheld.update(
        status=RunStatus.CANCELLED,
        message=message,
        claim="",
        finished_at=now,
        seconds_left=None,
        progress={},
    )
    if not ended and not live_runs().filter(pk=run.pk).update(cancel_requested=True):
        raise Conflict(f"Run {run.pk} is over ({_status(run)}); there is nothing to cancel.")
    run.refresh_from_db()
    return run


def _status(run: TrainingRun) -> str:
    run.refresh_from_db()
    return run.status


def _has_model(run: TrainingRun) -> bool:
    """Whether no training is needed any more: its model is here, or a search has found it."""
    found = Search.objects.filter(run=run, best__isnull=False).exclude(best__weights="")
    return run.candidate_id is not None or bool(run.arrival) or found.exists()


def run_resume(*, run: TrainingRun, wake: bool = True) -> TrainingRun:
    """Queue a failed or cancelled run again; it goes on from its last whole epoch."""
    if run.lost_base and not _has_model(run):
        raise Conflict(LOST_BASE)
    resumable = [RunStatus.FAILED, RunStatus.CANCELLED]
    try:
        with transaction.atomic():
            changed = TrainingRun.objects.filter(pk=run.pk, status__in=resumable).update(
                status=RunStatus.QUEUED,
                message="",
                claim="",
                cancel_requested=False,
                finished_at=None,
                tries=0,
            )
            if changed and wake:
                run_wake(run)
    except IntegrityError:
        raise _already_live(run.dataset, run.family) from None
    if not changed:
        raise Conflict(
            f"Run {run.pk} is {_status(run)}; only a failed or cancelled run can be resumed."
        )
    run.refresh_from_db()
    return run

"""What beat asks of everyone: wake what waits, and start the runs that are due.

Everything here follows from rows, so it may run late, twice, or on two machines at once.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, Conflict, CytoloopError
from annotator.models import Dataset, Family, RunStatus, TrainingRun
from annotator.selectors.exports import waiting_exports
from annotator.selectors.predictions import pending_images, unpredicted_single_type_images
from annotator.selectors.runs import (
    corrected_since,
    dealt_with_until,
    failures_at_the_end,
    last_run,
    masked_training_images,
    waiting_runs,
)
from annotator.selectors.searches import waiting_searches
from annotator.selectors.versions import current_pair, current_version
from annotator.services.exports import exports_prune
from annotator.services.queue import queue_refresh
from annotator.services.runs import SCRATCH, RunRequest, run_create, run_wake
from annotator.services.searches import trial_weights_prune
from annotator.services.snapshots import MIN_TRAIN_MASKS

log = logging.getLogger(__name__)

# Masked images from which a data set with {"bootstrap": true} trains its first segmenter.
_BOOTSTRAP_IMAGES = 5
# After a run that failed; each failure makes it four times longer.
_FIRST_RETRY = timedelta(hours=1)
_LAST_RETRY = timedelta(days=7)


def upkeep() -> None:
    """One round over all data sets."""
    now = timezone.now()
    # Messages lapse before the next round sends them again, so that none pile up behind long work.
    lapse = int(settings.BEAT_SECONDS)
    for run in waiting_runs(now):
        run_wake(run, expires=lapse)
    for search in waiting_searches(now):
        enqueue(Job.SEARCH, search.pk, expires=lapse)
    trial_weights_prune(limit=now - timedelta(days=settings.RUN_KEEP_DAYS))
    for export in waiting_exports(now):
        enqueue(Job.EXPORT, export.pk, expires=lapse)
    try:
        exports_prune(now=now)
    except CytoloopError as error:  # storage is down; the next round tries again
        log.warning("old exports stay: %s", error.message)
    for dataset in Dataset.objects.all():
        try:
            _keep(dataset, now, lapse)
        except Exception:  # one data set in trouble must not keep the others from their upkeep
            log.exception("no upkeep for %s", dataset)


def _keep(dataset: Dataset, now: datetime, lapse: int) -> None:
    pair = current_pair(dataset)
    if pair is not None and pending_images(dataset, pair, now).exists():
        enqueue(Job.PREDICT_IMAGES, dataset.pk, expires=lapse)
    queue_refresh(dataset=dataset)
    start_due_runs(dataset=dataset, now=now)


def start_due_runs(*, dataset: Dataset, now: datetime) -> list[TrainingRun]:
    """Start the runs that the data set's policy asks for; the reason is kept with each."""
    started = []
    for request in (_due(dataset, Family.SEGMENTER, now), _due(dataset, Family.DETECTOR, now)):
        if request is None:
            continue
        try:
            started.append(run_create(request=request))
        except Conflict as error:
            log.debug("no %s run for %s: %s", request.family, dataset, error.message)
        except BadInput as error:
            log.warning("no %s run for %s: %s", request.family, dataset, error.message)
    return started


def _due(dataset: Dataset, family: Family, now: datetime) -> RunRequest | None:
    last = last_run(dataset, family)
    if last is not None and last.status not in RunStatus.over():
        return None
    current = current_version(dataset, family)
    since = dealt_with_until(dataset, family)
    if last is not None and now < _retry_at(last):
        # Until its wait is over, only what was corrected since the failed run began calls for
        # another.
        began = last.started_at or last.created_at
        since = max(since or began, began)
    if current is None:
        return _first(dataset, family) if since is None else None
    revisions, cells = corrected_since(dataset, since)
    if not revisions:
        return None
    if 0 < dataset.retrain_after_cells <= cells:
        return RunRequest(dataset, family, f"{cells} newly corrected cells")
    hours = dataset.retrain_every_hours
    if hours and now - (since or current.created_at) >= timedelta(hours=hours):
        return RunRequest(dataset, family, f"every {hours} hours")
    return None


def _retry_at(last: TrainingRun) -> datetime:
    """From when on the corrections that called for ``last`` call for another run."""
    ended = last.finished_at or last.created_at
    if last.status != RunStatus.FAILED:
        return ended
    failures = failures_at_the_end(last.dataset, last.family)
    return ended + min(_FIRST_RETRY * 4 ** min(failures - 1, 8), _LAST_RETRY)


def _first(dataset: Dataset, family: Family) -> RunRequest | None:
    """The run that gives a data set its first model of ``family``, if it may start by itself."""
    if family == Family.SEGMENTER:
        masked = masked_training_images(dataset, MIN_TRAIN_MASKS)
        if not dataset.training.get("bootstrap") or masked < _BOOTSTRAP_IMAGES:
            return None
        reason = f"first segmenter: {masked} images have masks"
        return RunRequest(dataset, family, reason, base=SCRATCH)
    segmenter = current_version(dataset, Family.SEGMENTER)
    if segmenter is None or not dataset.types.exists():
        return None
    if unpredicted_single_type_images(dataset).exists():
        return None
    reason = f"first detector: {segmenter} has predicted the single-type images"
    return RunRequest(dataset, family, reason)

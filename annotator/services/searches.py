"""Searches: starting and cancelling them, the claims of the workers on trials, and their end.

A worker holds a trial as it holds a training run: by a claim and a heartbeat, and every write of
it is conditional on the claim. A search is held by nobody: it ends in one transaction.
"""

from __future__ import annotations

import logging
import math
import uuid
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, repeat
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from annotator import storage
from annotator.dispatch import Job, enqueue
from annotator.exceptions import BadInput, Conflict, CytoloopError, NotReady
from annotator.models import (
    RunEpoch,
    Search,
    SearchStatus,
    SearchTrial,
    Snapshot,
    TrainingRun,
    TrialState,
)
from annotator.selectors.runs import is_silent, live_runs
from annotator.selectors.searches import can_validate, live_searches, waiting_trials
from annotator.services.runs import MOST_TRIES, Order, RunRequest, run_preflight, start_of
from training.config import TrainConfig
from training.errors import TrainingError
from training.search_space import as_json, space_for

log = logging.getLogger(__name__)

MOST_TRIALS = 500
_DIED = (
    f"Its worker died {MOST_TRIES} times, probably for lack of memory; leave such values of"
    " batch_size, crop or width out of the space."
)
_LOST_BASE = "The version that its trials start from was deleted. Start another search."
_CANCELLED = "Cancelled; no model was made."


@dataclass(frozen=True)
class SearchRequest:
    """What somebody asks for. ``training`` is what all trials have in common.

    ``minutes``: that each trial may train; None as long as a training would. ``space`` overrides
    the family's ranges (``training.search_space.space_for``).
    """

    training: RunRequest
    trials: int
    minutes: float | None = None
    space: dict[str, Any] | None = None


def search_create(*, request: SearchRequest, wake: bool = True) -> Search:
    """Queue a search with its trials; ``wake`` False leaves them to the caller.

    Raises:
        NotReady: there is nothing to train on yet; says what to do.
        BadInput: an impossible number of trials or minutes, an unknown start, setting or range.
        Conflict: a search of this family is live.
    """
    asked = request.training
    _check_budget(request)
    base, config = start_of(asked)
    if request.minutes is not None:
        config["minutes"] = request.minutes
    try:
        space = space_for(asked.family, config, request.space)
        if asked.family == "segmenter" and "crop" in space and not config.get("validation_crop"):
            # All trials are judged on crops of one size, whatever they learn from.
            config["validation_crop"] = TrainConfig.for_family(asked.family, config).crop
    except TrainingError as error:
        raise BadInput(error.message) from error
    run_preflight(dataset=asked.dataset, family=asked.family)
    if not can_validate(asked.dataset, asked.family):
        raise NotReady(
            f"{asked.dataset.name} has no image to compare trials on: correct some validation"
            " images, or training images of a second group (plate, well or batch)."
        )
    search = Search(
        dataset=asked.dataset,
        family=asked.family,
        requested_by=asked.requested_by,
        base=base,
        had_base=base is not None,
        config=config,
        space=as_json(space),
        wanted=request.trials,
        minutes=request.minutes,
    )
    _save(search, wake)
    return search


def _check_budget(request: SearchRequest) -> None:
    if not 2 <= request.trials <= MOST_TRIALS:
        raise BadInput(
            f"A search has 2 to {MOST_TRIALS} trials, not {request.trials}.",
            fields={"trials": [f"2 to {MOST_TRIALS}."]},
        )
    minutes = request.minutes
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise BadInput(
            f"The minutes of a trial are a number above zero, not {minutes}.",
            fields={"minutes": ["Above zero."]},
        )


def _save(search: Search, wake: bool) -> None:
    try:
        with transaction.atomic():
            search.save()
            SearchTrial.objects.bulk_create(
                SearchTrial(search=search, number=number) for number in range(1, search.wanted + 1)
            )
            if wake:
                enqueue(Job.SEARCH, search.pk)
    except IntegrityError:
        live = live_searches().filter(dataset=search.dataset, family=search.family).first()
        which = f"Search {live.pk} already looks" if live else "Another search looked"
        raise Conflict(
            f"{which} for a better {search.family} of {search.dataset.name}; wait for its end or"
            " cancel it."
        ) from None


@dataclass(frozen=True)
class Held:
    """A trial that this worker has taken."""

    trial: SearchTrial
    claim: str


def trial_claim(*, search_id: int) -> Held | None:
    """Take the search's next trial for this worker; None when there is none to be had.

    A trial that has killed ``MOST_TRIES`` workers since its last epoch fails instead.
    """
    if any(search.lost_base for search in live_searches().filter(pk=search_id)):
        return None  # what is left would start elsewhere than what it is compared with
    now = timezone.now()
    for trial in waiting_trials(now).filter(search=search_id):
        claim = str(uuid.uuid4())
        # Conditions on the row alone: Postgres does not ask a subquery again when it has waited
        # for another worker's claim.
        free = SearchTrial.objects.filter(is_silent(now), pk=trial.pk, state__in=TrialState.live())
        taken = free.update(
            claim=claim, state=TrialState.TRAINING, heartbeat_at=now, tries=F("tries") + 1
        )
        if taken != 1:
            continue
        trial.refresh_from_db()
        if trial.tries > MOST_TRIES:
            trial_finish(trial=trial, claim=claim, state=TrialState.FAILED, message=_DIED)
            if trial.number == 1:
                return None  # without the usual settings the search fails: no more is trained
            continue
        SearchTrial.objects.filter(pk=trial.pk, started_at__isnull=True).update(started_at=now)
        live_searches().filter(pk=search_id).update(status=SearchStatus.SEARCHING)
        return Held(trial, claim)
    return None


def trial_beat(*, trial_id: int, claim: str) -> Order:
    """Say that the worker lives, and hear whether it should go on: a cancel takes the claim."""
    beaten = _held(trial_id, claim).update(heartbeat_at=timezone.now())
    return Order.GO_ON if beaten == 1 else Order.LET_GO


def _held(trial_id: int, claim: str) -> QuerySet[SearchTrial]:
    return SearchTrial.objects.filter(pk=trial_id, claim=claim)


def trial_change(*, trial_id: int, claim: str, **changes: Any) -> bool:
    """Write fields of a held trial; False when it is not held by ``claim`` any more."""
    return _held(trial_id, claim).update(**changes) == 1


def trial_finish(
    *, trial: SearchTrial, claim: str, state: str, message: str = "", **changes: Any
) -> bool:
    """End a held trial; False when it is not held any more."""
    ended = _held(trial.pk, claim).update(
        state=state, message=message, claim="", finished_at=timezone.now(), **changes
    )
    return ended == 1


def trial_release(*, trial_id: int, claim: str) -> None:
    """Let go of a trial that is to go on elsewhere, e.g. because this worker shuts down."""
    _held(trial_id, claim).update(heartbeat_at=None, claim="", tries=0)


def search_snapshot(*, search: Search, snapshot: Snapshot) -> Snapshot:
    """Make ``snapshot`` that of all trials unless another worker was first; which it is."""
    unset = Search.objects.filter(pk=search.pk, snapshot__isnull=True)
    unset.update(snapshot=snapshot, started_at=timezone.now())
    search.refresh_from_db()
    assert search.snapshot is not None
    return search.snapshot


def search_cancel(*, search: Search) -> Search:
    """End a search at once; its workers hear it at their next heartbeat."""
    with transaction.atomic():
        if not _end(search, SearchStatus.CANCELLED, _CANCELLED):
            search.refresh_from_db()
            raise Conflict(
                f"Search {search.pk} is over ({search.status}); there is nothing to cancel."
            )
    search.refresh_from_db()
    return search


def _end(search: Search, status: str, message: str, **changes: Any) -> bool:
    """End a live search and all its trials that are not over; False when it is over already."""
    now = timezone.now()
    live = live_searches().filter(pk=search.pk)
    if live.update(status=status, message=message, finished_at=now, **changes) != 1:
        return False
    SearchTrial.objects.filter(search=search, state__in=TrialState.live()).update(
        state=TrialState.CANCELLED, claim="", finished_at=now
    )
    return True


@transaction.atomic
def search_settle(*, search_id: int, wake: bool = True) -> None:
    """End the search when its trials are over: the best one's model is measured like any other.

    While another run of the family is live, the search waits for its end.
    """
    search = live_searches().select_for_update(no_key=True).filter(pk=search_id).first()
    if search is None:
        return
    first = search.trials.filter(number=1, state=TrialState.FAILED).first()
    if first is not None:
        _end(
            search, SearchStatus.FAILED, f"Training with the usual settings failed: {first.message}"
        )
        return
    if search.trials.filter(state__in=TrialState.live()).exists():
        if search.lost_base:
            _end(search, SearchStatus.FAILED, _LOST_BASE)
        return
    done = search.trials.filter(state=TrialState.DONE).exclude(weights="")
    best = done.order_by("-value", "number").first()
    if best is None:
        _end(search, SearchStatus.FAILED, "No trial was trained to its end; none left a model.")
        return
    try:
        with transaction.atomic():
            run = _run_of(search, best)
    except IntegrityError:
        live = live_runs().filter(dataset=search.dataset, family=search.family).first()
        Search.objects.filter(pk=search.pk).update(
            message=f"All trials are over; waiting for the end of {live or 'another run'} to"
            f" measure the best one, trial {best.number}."
        )
        return
    _end(search, SearchStatus.DONE, _words(search, best, run), best=best, run=run)
    if wake:
        enqueue(Job.TRAIN, run.pk)


def _run_of(search: Search, best: SearchTrial) -> TrainingRun:
    """The run that takes the best trial's model to the gate, with its settings and curve."""
    run = TrainingRun.objects.create(
        dataset=search.dataset,
        family=search.family,
        reason=f"best of search {search.pk} (trial {best.number} of {search.wanted})",
        requested_by=search.requested_by,
        snapshot=search.snapshot,
        base=search.base,
        had_base=search.had_base,
        config=search.config | (best.params or {}),
        epoch=len(best.epochs),
        epochs=len(best.epochs),
        # What was corrected since the snapshot is not learnt yet, and calls for the next run.
        started_at=search.started_at,
    )
    kept = ("epoch", "train_loss", "validation_loss", "metrics", "seconds")
    # A worker of an earlier release has left none.
    schedules = chain(best.schedules, repeat([]))
    RunEpoch.objects.bulk_create(
        RunEpoch(
            run=run,
            schedule=schedule,
            waiting=point.get("waiting"),
            **{key: point[key] for key in kept},
        )
        for point, schedule in zip(best.epochs, schedules, strict=False)
    )
    return run


def _words(search: Search, best: SearchTrial, run: TrainingRun) -> str:
    usual = search.trials.get(number=1)
    words = (
        f"Trial {best.number} of {search.wanted} was the best: validation score {best.value:.4f}"
    )
    if best.number != 1 and usual.value is not None:
        words += f", with the usual settings {usual.value:.4f}"
    return f"{words}. Run {run.pk} measures its model."


def trial_weights_prune(*, limit: datetime) -> None:
    """Remove from storage the models of trials that no end of a search needs any more.

    A run that failed to take the best one to the gate can be resumed until it is over since
    ``limit``.
    """
    over = SearchTrial.objects.exclude(weights="").exclude(search__in=live_searches())
    waits = Q(search__run__isnull=False, search__run__candidate__isnull=True)
    waits &= Q(search__run__finished_at__isnull=True) | Q(search__run__finished_at__gte=limit)
    for trial in over.exclude(waits):
        try:
            for key in storage.keys_under(trial.weights):
                storage.delete(key)
        except CytoloopError as error:  # storage is down; the next round tries again
            log.warning("the model of %s stays: %s", trial, error.message)
            return
        SearchTrial.objects.filter(pk=trial.pk).update(weights="")

"""Working on a search: one trial after the other, each by whichever worker is free."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import Max

from annotator import storage
from annotator.exceptions import CytoloopError, NotHere, Unavailable
from annotator.models import Search, SearchTrial, Snapshot, TrialState
from annotator.selectors.searches import live_searches
from annotator.services.runs import MOST_TRIES, Order, run_preflight
from annotator.services.searches import (
    Held,
    search_settle,
    search_snapshot,
    trial_beat,
    trial_change,
    trial_claim,
    trial_finish,
    trial_release,
)
from annotator.services.snapshots import (
    snapshot_create,
    snapshot_folders_prune,
    snapshot_write,
)
from annotator.services.versions import META, WEIGHTS, version_folder
from annotator.work.heart import Heart
from annotator.work.shutdown import leaving, long_work
from annotator.work.study import STUDY_ERRORS, study_storage
from annotator.work.training import places
from inference.errors import InferenceError
from training.config import TrainConfig
from training.errors import Cancelled, Pruned, TrainingError
from training.kept import taken_over
from training.search import Point, Study, Trial, point_of
from training.search_space import defaults_in, from_json
from training.train import EpochReport, train

log = logging.getLogger(__name__)

OnTrial = Callable[[SearchTrial], None]
_LOST = (OperationalError, InterfaceError, *STUDY_ERRORS)


class TrialHeart(Heart):
    """Beats for a trial."""

    beats_for = "trial"

    def beat(self) -> Order:
        return trial_beat(trial_id=self.row_id, claim=self.claim)


@dataclass(frozen=True)
class _Ending:
    """How a trial ended of itself."""

    state: str
    message: str = ""
    weights: str = ""


def work_on_search(search_id: int, *, wake: bool = True, on_trial: OnTrial | None = None) -> bool:
    """Train the search's next trial, or end the search; False when there was no trial to train.

    The trial's row says how it ended. ``on_trial`` is given that row after each epoch and at the
    trial's end; ``wake`` False leaves the best model's run to the caller.
    """
    held = trial_claim(search_id=search_id)
    if held is None:
        search_settle(search_id=search_id, wake=wake)
        return False
    _work_on_trial(held, on_trial)
    if on_trial:
        held.trial.refresh_from_db()
        on_trial(held.trial)
    search_settle(search_id=search_id, wake=wake)
    search_folders_prune()
    return True


def _work_on_trial(held: Held, on_trial: OnTrial | None) -> None:
    trial, claim = held.trial, held.claim
    with long_work(), TrialHeart(trial.pk, claim) as heart:
        try:
            ending = _tried(held, heart, on_trial)
        except Cancelled:
            if leaving():
                trial_release(trial_id=trial.pk, claim=claim)
            return  # else the search was cancelled, or another worker has the trial
        except (TrainingError, InferenceError, CytoloopError) as error:
            if not isinstance(error, Unavailable):
                _fail(held, error.message)
                return
            _lost(held, error.message)
            return
        except _LOST as error:
            log.exception("%s lost its database", trial)
            with suppress(DatabaseError, InterfaceError):
                connection.close()
                _lost(held, str(error))
            return
        except KeyboardInterrupt:
            trial_release(trial_id=trial.pk, claim=claim)
            raise
        except Exception as error:  # a trial must never stay live without a worker
            log.exception("%s failed", trial)
            _fail(held, f"It broke off ({type(error).__name__}: {error}).")
            return
    ended = trial_finish(
        trial=trial,
        claim=claim,
        state=ending.state,
        message=ending.message,
        weights=ending.weights,
        epochs=trial.epochs,
        schedules=trial.schedules,
        value=trial.value,
    )
    if ended:
        shutil.rmtree(trial_folder(trial), ignore_errors=True)


def _fail(held: Held, message: str) -> None:
    log.warning("%s failed: %s", held.trial, message)
    ended = trial_finish(
        trial=held.trial, claim=held.claim, state=TrialState.FAILED, message=message
    )
    if ended:  # else another worker has the trial, and its folder
        shutil.rmtree(trial_folder(held.trial), ignore_errors=True)


def _lost(held: Held, why: str) -> None:
    """Leave a trial for another try because a service failed; the last try ends it."""
    # Asked of the row: each epoch since the claim has set it back.
    mine = SearchTrial.objects.filter(pk=held.trial.pk, claim=held.claim)
    if mine.filter(tries__gte=MOST_TRIES).exists():
        _fail(held, f"Database or storage failed {MOST_TRIES} times ({why[:200]}).")


def trial_folder(trial: SearchTrial) -> Path:
    """Where this machine keeps the trial's checkpoint and weights."""
    return _searches_folder() / str(trial.search_id) / str(trial.number)


def _searches_folder() -> Path:
    return Path(settings.RUNS_DIR) / "searches"


def search_folders_prune() -> None:
    """Remove this machine's folders of searches that are over or deleted."""
    live = {str(pk) for pk in live_searches().values_list("pk", flat=True)}
    for folder in _searches_folder().glob("*"):
        if folder.name not in live:
            shutil.rmtree(folder, ignore_errors=True)


def _tried(held: Held, heart: Heart, on_trial: OnTrial | None) -> _Ending:
    """Train the held trial to its end, or until it is given up."""
    row = held.trial
    search = Search.objects.select_related("dataset", "base", "snapshot").get(pk=row.search_id)
    if search.lost_base:
        raise NotHere("The version that it was to start from was deleted.")
    snapshot = _prepared(search, heart)
    heart.check()  # before the study is asked: it would count what nobody trains as under way
    trial = _asked(search, row)
    try:
        asked = {"params": trial.params, "study_number": trial.number}
        if not trial_change(trial_id=row.pk, claim=held.claim, **asked):
            raise Cancelled
        row.params = trial.params
        best = _trained(search, held, trial, (snapshot, heart, on_trial))
        weights = _kept(held, best)
        trial.complete(best)
    except Pruned as given_up:
        trial.prune()
        return _Ending(TrialState.PRUNED, given_up.message)
    except BaseException:
        with suppress(*STUDY_ERRORS):  # whoever takes the trial over says it again
            trial.fail()
        raise
    return _Ending(TrialState.DONE, weights=weights)


def _prepared(search: Search, heart: Heart) -> Path:
    """The folder of the one snapshot that all trials share."""
    if search.snapshot is None:
        run_preflight(dataset=search.dataset, family=search.family)
        taken = snapshot_create(dataset=search.dataset, family=search.family)
        search.snapshot = search_snapshot(search=search, snapshot=taken)
        snapshot_folders_prune()
    snapshot: Snapshot = search.snapshot
    return snapshot_write(snapshot=snapshot, on_image=heart.check)


def _asked(search: Search, row: SearchTrial) -> Trial:
    """What to train: again what a dead worker began, the usual settings first, else Optuna's."""
    space = from_json(search.space)
    study = Study(study_storage(), search.study, space, int(search.config.get("seed") or 0))
    if row.params is not None:
        return study.repeat(row.number, row.params, failed=row.study_number)
    if row.number > 1:
        return study.ask(row.number)
    config = TrainConfig.for_family(search.family, search.config)
    usual = config.settled(search.base is not None or config.start != "scratch")
    return study.repeat(1, defaults_in(space, usual))


def _trained(
    search: Search, held: Held, trial: Trial, around: tuple[Path, Heart, OnTrial | None]
) -> float:
    """Train; the best validation score. Raises ``Pruned`` and ``Cancelled``."""
    (snapshot, heart, on_trial), row = around, held.trial
    curve = _Curve(row)

    def record(report: EpochReport) -> None:
        points = curve.add(report)
        changes = {"epochs": row.epochs, "schedules": row.schedules, "value": curve.best()}
        trial_change(trial_id=row.pk, claim=held.claim, tries=0, **changes)
        if on_trial:
            on_trial(row)
        # The usual settings are trained to their end, so that the best is never worse than they.
        if trial.is_hopeless(points) and row.number > 1 and report.seconds_left > 0:
            raise Pruned

    config = TrainConfig.for_family(search.family, search.config | trial.params | places())
    base = version_folder(search.base) if search.base else None
    folder = taken_over(trial_folder(row), held.claim)
    result = train(config, snapshot, folder, base, record, heart.should_stop)
    heart.check()
    row.epochs = []  # an earlier worker may have died between its checkpoint and the row
    for report in result.epochs:
        curve.add(report)
    return curve.keep(result.best_epoch)


class _Curve:
    """The epochs of a trial's row, one added after the other."""

    def __init__(self, row: SearchTrial) -> None:
        self._row = row

    def add(self, report: EpochReport) -> list[Point]:
        """Append the report's epoch, in place of those that are trained again; the whole curve."""
        point_of(report)  # refuses one without a score
        kept: list[dict[str, Any]] = [e for e in self._row.epochs if e["epoch"] < report.epoch]
        apart = ("schedule", "seconds_left")
        self._row.schedules = [*self._row.schedules[: len(kept)], list(report.schedule)]
        kept.append({k: v for k, v in asdict(report).items() if k not in apart})
        self._row.epochs = kept
        self._row.value = self.best()
        return [Point(min(1.0, e["epoch"] / max(1, e["epochs"])), e["score"]) for e in kept]

    def best(self) -> float:
        """The highest validation score: what a trial under way may come to."""
        return max(float(each["score"]) for each in self._row.epochs)

    def keep(self, epoch: int) -> float:
        """Mark the epoch whose weights are the trial's; its validation score."""
        self._row.epochs = [each | {"kept": each["epoch"] == epoch} for each in self._row.epochs]
        self._row.value = next(float(e["score"]) for e in self._row.epochs if e["kept"])
        return self._row.value


def _kept(held: Held, value: float) -> str:
    """Put the model into storage if no trial was better so far; its folder there, or ""."""
    done = SearchTrial.objects.filter(search=held.trial.search_id, state=TrialState.DONE)
    best = done.aggregate(best=Max("value"))["best"]
    if best is not None and best >= value:
        return ""
    # Named by the claim: a worker that was thought dead may write its own beside this one.
    key = f"searches/{held.trial.search_id}/{held.trial.number}-{held.claim}"
    for name in (WEIGHTS, META):
        storage.put(f"{key}/{name}", trial_folder(held.trial) / held.claim / name)
    return key

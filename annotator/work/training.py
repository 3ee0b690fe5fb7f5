"""Working on a training run: from its snapshot to the gate, resumable at every step."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from annotator.exceptions import CytoloopError
from annotator.models import ModelVersion, RunEpoch, RunStatus, Snapshot, TrainingRun
from annotator.selectors.versions import current_version
from annotator.services.evaluations import candidate_settle, frozen_split
from annotator.services.runs import (
    Order,
    run_beat,
    run_change,
    run_claim,
    run_epoch_record,
    run_finish,
    run_lost,
    run_preflight,
    run_release,
)
from annotator.services.snapshots import (
    MIN_TRAIN_MASKS,
    snapshot_create,
    snapshot_folders_prune,
    snapshot_write,
)
from annotator.services.versions import version_create, version_folder
from annotator.work.evaluation import evaluated
from annotator.work.shutdown import leaving, long_work
from inference.errors import InferenceError
from training.config import TrainConfig
from training.engine import CHECKPOINT
from training.errors import Cancelled, TrainingError
from training.train import EpochReport, train

log = logging.getLogger(__name__)

_BEAT = 1.0  # seconds between heartbeats, so that a cancel is heard at once
OnEpoch = Callable[[EpochReport], None]


class Heart:
    """Beats for a run in a thread with its own database connection, and hears orders."""

    def __init__(self, run_id: int, claim: str) -> None:
        self.run_id = run_id
        self.claim = claim
        self.order = Order.GO_ON
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Whether the work is to be left: cancelled, taken over, or the worker shuts down."""
        return self.order is not Order.GO_ON or leaving()

    def check(self) -> None:
        """Raise ``Cancelled`` when the work is to be left."""
        if self.should_stop():
            raise Cancelled

    def _beat(self) -> None:
        try:
            while not self._stop.wait(_BEAT):
                try:
                    self.order = run_beat(run_id=self.run_id, claim=self.claim)
                except DatabaseError:
                    # A database that restarts costs beats, not the run.
                    log.exception("no heartbeat for run %s", self.run_id)
                    connection.close()
        finally:
            connection.close()


def work_on_run(run_id: int, on_epoch: OnEpoch | None = None) -> bool:
    """Do what is left of a run, from its snapshot to the gate; False when it is not to be had.

    The run's row says how it ended: nothing is raised for failures that its owner should read.
    """
    claim = run_claim(run_id=run_id)
    if claim is None:
        return False
    with long_work(), Heart(run_id, claim) as heart:
        try:
            message = _worked(run_id, heart, on_epoch)
        except Cancelled:
            _left(run_id, heart)
        except (CytoloopError, TrainingError, InferenceError) as error:
            _fail(run_id, claim, error.message)
        except (InterfaceError, OperationalError) as error:
            # The silent heart lets beat hand the run on, unless it ends here every time.
            log.exception("run %s lost its database", run_id)
            with suppress(DatabaseError):
                run_lost(run_id=run_id, claim=claim, why=str(error))
        except KeyboardInterrupt:
            run_finish(
                run_id=run_id,
                claim=claim,
                status=RunStatus.CANCELLED,
                message="Interrupted; what was trained so far is kept, so it can be resumed.",
            )
            raise
        except Exception as error:  # a run must never stay live without a worker
            log.exception("run %s failed", run_id)
            _fail(
                run_id,
                claim,
                f"Training broke off ({type(error).__name__}: {error}); the worker's log has the"
                " details.",
            )
        else:
            run_finish(run_id=run_id, claim=claim, status=RunStatus.DONE, message=message)
    return True


def _fail(run_id: int, claim: str, message: str) -> None:
    log.warning("run %s failed: %s", run_id, message)
    run_finish(run_id=run_id, claim=claim, status=RunStatus.FAILED, message=message)


def _left(run_id: int, heart: Heart) -> None:
    if heart.order is Order.CANCEL:
        run_finish(
            run_id=run_id,
            claim=heart.claim,
            status=RunStatus.CANCELLED,
            message="Cancelled; what was trained so far is kept, so it can be resumed.",
        )
    elif heart.order is Order.GO_ON:
        run_release(run_id=run_id, claim=heart.claim)


def _worked(run_id: int, heart: Heart, on_epoch: OnEpoch | None) -> str:
    """All steps in turn, each skipped when an earlier worker has done it; the run's message."""
    run = TrainingRun.objects.select_related("dataset", "base", "snapshot", "candidate").get(
        pk=run_id
    )
    snapshot, folder = _prepared(run, heart)
    if run.candidate is None:
        run.candidate = _trained(run, heart, folder, on_epoch)
    _step(heart, status=RunStatus.EVALUATING)
    message = _settled(run, snapshot, folder, heart)
    # The weights are in storage; the optimizer's state is of no more use.
    (run_folder(run) / CHECKPOINT).unlink(missing_ok=True)
    snapshot_folders_prune()
    run_folders_prune(timezone.now())
    return " ".join([message, *_remarks(snapshot)])


def run_folder(run: TrainingRun) -> Path:
    """Where this machine keeps the run's checkpoint, metrics and weights."""
    return Path(settings.RUNS_DIR) / str(run.pk)


def run_folders_prune(now: datetime) -> None:
    """Remove this machine's folders of runs that ended ``RUN_KEEP_DAYS`` ago.

    Weights are in storage and curves in the database; a run that is resumed begins anew.
    """
    limit = now - timedelta(days=settings.RUN_KEEP_DAYS)
    for run in TrainingRun.objects.filter(status__in=RunStatus.over(), finished_at__lt=limit):
        shutil.rmtree(run_folder(run), ignore_errors=True)


def _step(heart: Heart, **changes: object) -> None:
    """Write progress, unless the run is to be left."""
    heart.check()
    if not run_change(run_id=heart.run_id, claim=heart.claim, **changes):
        heart.order = Order.LET_GO
        raise Cancelled


def _prepared(run: TrainingRun, heart: Heart) -> tuple[Snapshot, Path]:
    _step(heart, status=RunStatus.PREPARING)
    if run.snapshot is None:
        run_preflight(dataset=run.dataset, family=run.family)
        run.snapshot = snapshot_create(dataset=run.dataset, family=run.family)
        _step(heart, snapshot=run.snapshot)
    return run.snapshot, snapshot_write(snapshot=run.snapshot, on_image=heart.check)


def _trained(
    run: TrainingRun, heart: Heart, snapshot: Path, on_epoch: OnEpoch | None
) -> ModelVersion:
    cache = Path(settings.MODELS_DIR) / "builtin"
    config = TrainConfig.for_family(run.family, {"weights_cache": str(cache)} | run.config)
    base = version_folder(run.base) if run.base else None
    _step(heart, status=RunStatus.TRAINING)

    def record(report: EpochReport) -> None:
        run_epoch_record(
            run_id=run.pk,
            claim=heart.claim,
            point=RunEpoch(
                epoch=report.epoch,
                train_loss=report.train_loss,
                validation_loss=report.validation_loss,
                metrics=report.metrics,
                seconds=report.seconds,
            ),
            epochs=report.epochs,
            left=report.seconds_left,
        )
        if on_epoch:
            on_epoch(report)

    result = train(config, snapshot, run_folder(run), base, record, heart.should_stop)
    heart.check()
    return version_create(
        dataset=run.dataset, family=run.family, folder=result.folder, parent=run.base, run=run
    )


def _settled(run: TrainingRun, snapshot: Snapshot, folder: Path, heart: Heart) -> str:
    """Evaluate candidate and current on the same images, and let the gate decide."""
    candidate = run.candidate
    frozen = frozen_split(snapshot=snapshot)
    if candidate is None or frozen is None:
        raise TrainingError("The snapshot holds no labelled image; correct some and train again.")
    mine = evaluated(candidate, frozen, folder, heart.should_stop)
    while True:
        heart.check()
        current = current_version(run.dataset, run.family)
        if current == candidate:
            return f"{candidate} was promoted."  # by hand, or before this worker took over
        theirs = evaluated(current, frozen, folder, heart.should_stop) if current else None
        heart.check()
        message = candidate_settle(candidate=mine, current=theirs, frozen=frozen)
        if message is not None:
            return message


def _remarks(snapshot: Snapshot) -> list[str]:
    skipped = snapshot.counts.get("skipped", [])
    if not skipped:
        return []
    names = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" * (len(skipped) > 5))
    return [f"Skipped for having fewer than {MIN_TRAIN_MASKS} masks: {names}."]

"""Working on a training run: from its snapshot to the gate, resumable at every step."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from annotator import storage
from annotator.exceptions import CytoloopError, NotHere
from annotator.models import ModelVersion, RunEpoch, RunStatus, Search, Snapshot, TrainingRun
from annotator.selectors.versions import current_version
from annotator.services.arrivals import arrivals_prune
from annotator.services.evaluations import candidate_settle, frozen_split
from annotator.services.preflight import disk_needed_mb
from annotator.services.rebuilds import rebuild_check, rebuild_compare, rebuild_prepare
from annotator.services.runs import (
    LOST_BASE,
    Order,
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
from annotator.work.arriving import taken_in
from annotator.work.evaluation import measured, unmeasured
from annotator.work.heart import RunHeart
from annotator.work.progress import Clock
from annotator.work.shutdown import long_work
from annotator.work.travelling import (
    Sender,
    checkpoint_fetch,
    checkpoints_forget,
    checkpoints_prune,
)
from inference.devices import device_name
from inference.errors import InferenceError
from inference.files import told_when_full
from training.config import TrainConfig
from training.dataset import PREPARED
from training.errors import Cancelled, TrainingError
from training.kept import CHECKPOINT, taken_over
from training.progress import telling
from training.room import check_disk, folder_mb
from training.smoke import smoke_test
from training.train import EpochReport, train

log = logging.getLogger(__name__)

OnEpoch = Callable[[EpochReport], None]


def work_on_run(run_id: int, on_epoch: OnEpoch | None = None) -> bool:
    """Do what is left of a run, from its snapshot to the gate; False when it is not to be had.

    The run's row says how it ended: nothing is raised for failures that its owner should read.
    """
    claim = run_claim(run_id=run_id)
    if claim is None:
        return False
    with long_work(), _heart(run_id, claim) as heart:
        try:
            with told_when_full(Path(settings.RUNS_DIR)):
                message = _worked(run_id, heart, on_epoch)
            heart.beat()  # the last lines of its log
        except Cancelled:
            _left(run_id, heart)
        except (CytoloopError, TrainingError, InferenceError) as error:
            _fail(heart, error.message)
        except (InterfaceError, OperationalError) as error:
            # The silent heart lets beat hand the run on, unless it ends here every time.
            log.exception("run %s lost its database", run_id)
            with suppress(DatabaseError, InterfaceError):
                connection.close()
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
                heart,
                f"Training broke off ({type(error).__name__}: {error}); the worker's log has the"
                " details.",
            )
        else:
            run_finish(run_id=run_id, claim=claim, status=RunStatus.DONE, message=message)
    return True


def _heart(run_id: int, claim: str) -> RunHeart:
    run = TrainingRun.objects.get(pk=run_id)
    return RunHeart(run_id, claim, device_name(run.config.get("device")), run.log)


def _fail(heart: RunHeart, message: str) -> None:
    log.warning("run %s failed: %s", heart.row_id, message)
    with suppress(DatabaseError, InterfaceError):
        heart.beat()  # the last lines of its log
    run_finish(run_id=heart.row_id, claim=heart.claim, status=RunStatus.FAILED, message=message)


def _left(run_id: int, heart: RunHeart) -> None:
    if heart.order is Order.CANCEL:
        run_finish(
            run_id=run_id,
            claim=heart.claim,
            status=RunStatus.CANCELLED,
            message="Cancelled; what was trained so far is kept, so it can be resumed.",
        )
    elif heart.order is Order.GO_ON:
        run_release(run_id=run_id, claim=heart.claim)


def _worked(run_id: int, heart: RunHeart, on_epoch: OnEpoch | None) -> str:
    """All steps in turn, each skipped when an earlier worker has done it; the run's message."""
    run = TrainingRun.objects.select_related(
        "dataset", "base", "snapshot", "candidate", "rebuilds"
    ).get(pk=run_id)
    if run.arrival:
        _step(heart, status=RunStatus.EVALUATING)
        with telling(Clock(heart, "measuring").tell):
            return taken_in(run, heart.should_stop)
    rebuild_check(run=run)
    snapshot, folder = _prepared(run, heart)
    if run.candidate is None:
        run.candidate = _found(run, heart.claim) or _trained(run, heart, folder, on_epoch)
    _step(heart, status=RunStatus.EVALUATING)
    if run.is_rebuild:
        message = _compared(run, snapshot, folder, heart)
    else:
        message = _settled(run, snapshot, folder, heart)
    # The weights are in storage; the optimizer's state is of no more use.
    for file in run_folder(run).rglob(CHECKPOINT):
        file.unlink(missing_ok=True)
    checkpoints_forget(run)
    snapshot_folders_prune()
    run_folders_prune(timezone.now())
    return " ".join([message, *_remarks(snapshot)])


def run_folder(run: TrainingRun) -> Path:
    """Where this machine keeps the run: in it, a folder for the worker that has it."""
    return Path(settings.RUNS_DIR) / str(run.pk)


def run_folders_prune(now: datetime) -> None:
    """Remove this machine's folders of runs that ended ``RUN_KEEP_DAYS`` ago.

    Weights are in storage and curves in the database; a run that is resumed begins anew. So goes
    a model that was sent and could not be taken in.
    """
    limit = now - timedelta(days=settings.RUN_KEEP_DAYS)
    kept = Path(settings.RUNS_DIR)
    here = [int(each.name) for each in kept.glob("*") if each.name.isdecimal()]
    over = TrainingRun.objects.filter(status__in=RunStatus.over(), finished_at__lt=limit)
    for pk in over.filter(pk__in=here).values_list("pk", flat=True):
        shutil.rmtree(kept / str(pk), ignore_errors=True)
    with suppress(CytoloopError):  # storage is down; the next run's end tries again
        arrivals_prune(limit=limit)
    checkpoints_prune(limit)


def _step(heart: RunHeart, **changes: object) -> None:
    """Write progress, unless the run is to be left."""
    heart.check()
    if "status" in changes:
        heart.progress = changes["progress"] = {}
        log.info("Run %s is %s.", heart.row_id, changes["status"])
    if not run_change(run_id=heart.row_id, claim=heart.claim, **changes):
        heart.order = Order.LET_GO
        raise Cancelled


def _prepared(run: TrainingRun, heart: RunHeart) -> tuple[Snapshot, Path]:
    _step(heart, status=RunStatus.PREPARING)
    if run.snapshot is None:
        run_preflight(dataset=run.dataset, family=run.family)
        run.snapshot = snapshot_create(dataset=run.dataset, family=run.family)
        _step(heart, snapshot=run.snapshot)
    _check_room(run.snapshot)
    with telling(Clock(heart, "reading images").tell):
        return run.snapshot, snapshot_write(snapshot=run.snapshot, on_image=heart.check)


def _check_room(snapshot: Snapshot) -> None:
    """Refuse at once what would break off in an hour with a full disk.

    What lies there of earlier runs may be used again, so it counts as room.
    """
    folder = Path(settings.SNAPSHOTS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    needed = disk_needed_mb(snapshot.dataset, snapshot.family, snapshot.entries)
    check_disk(folder, needed - folder_mb(folder))


def _found(run: TrainingRun, claim: str) -> ModelVersion | None:
    """The model of the best trial, when the run is the end of a search."""
    search = Search.objects.filter(run=run, best__isnull=False).select_related("best").first()
    if search is None or search.best is None or not search.best.weights:
        return None
    folder = storage.folder_get(search.best.weights, run_folder(run) / "found")
    return version_create(
        dataset=run.dataset, family=run.family, folder=folder, parent=run.base, run=run, claim=claim
    )


def places() -> dict[str, str]:
    """Where this machine keeps what trainings share: a part of their config."""
    return {
        "weights_cache": str(Path(settings.MODELS_DIR) / "builtin"),
        "prepared": str(Path(settings.SNAPSHOTS_DIR) / PREPARED),
    }


def _trained(
    run: TrainingRun, heart: RunHeart, snapshot: Path, on_epoch: OnEpoch | None
) -> ModelVersion:
    run.refresh_from_db(fields=["base"])  # preparing takes long
    if run.lost_base:
        raise NotHere(LOST_BASE)
    config = TrainConfig.for_family(run.family, run.config | places())
    base = version_folder(run.base) if run.base else None
    checkpoint_fetch(run, run_folder(run))
    folder = taken_over(run_folder(run), heart.claim)
    rebuild_prepare(run=run, folder=folder)
    clock = Clock(heart, "preparing images")

    def prepared(done: int, of: int) -> None:
        clock.tell(done, of)
        if done == of:
            _step(heart, status=RunStatus.TRAINING)

    curve = _Curve(run, heart.claim, on_epoch)
    with Sender(run, heart.claim) as sender:

        def told(report: EpochReport) -> None:
            sender.epoch_ended(folder, report.epoch)
            curve.add(report)

        with telling(prepared):
            result = train(config, snapshot, folder, base, told, heart.should_stop)
    heart.check()
    curve.complete(result.epochs)
    return version_create(
        dataset=run.dataset,
        family=run.family,
        folder=result.folder,
        parent=run.base,
        run=run,
        claim=heart.claim,
    )


class _Curve:
    """The rows of a run's epochs; a database that is away for a while gets them later."""

    def __init__(self, run: TrainingRun, claim: str, on_epoch: OnEpoch | None) -> None:
        self._run = run
        self._claim = claim
        self._on_epoch = on_epoch
        self._waiting: list[EpochReport] = []

    def add(self, report: EpochReport) -> None:
        """Write a new epoch and those that are still waiting."""
        self._waiting.append(report)
        try:
            self._write()
        except (InterfaceError, OperationalError):
            log.exception("epoch %s of run %s waits for the database", report.epoch, self._run.pk)
            connection.close()
        if self._on_epoch:
            self._on_epoch(report)

    def complete(self, reports: Sequence[EpochReport]) -> None:
        """Write what an earlier worker has kept in its checkpoint and did not come to write."""
        there = set(self._run.epoch_rows.values_list("epoch", flat=True))
        self._waiting = [report for report in reports if report.epoch not in there]
        self._write()

    def _write(self) -> None:
        while self._waiting:
            report = self._waiting[0]
            run_epoch_record(
                run_id=self._run.pk,
                claim=self._claim,
                point=RunEpoch(
                    epoch=report.epoch,
                    train_loss=report.train_loss,
                    validation_loss=report.validation_loss,
                    metrics=report.metrics,
                    seconds=report.seconds,
                    waiting=report.waiting,
                    schedule=list(report.schedule),
                ),
                epochs=report.epochs,
                left=report.seconds_left,
            )
            self._waiting.pop(0)


def _settled(run: TrainingRun, snapshot: Snapshot, folder: Path, heart: RunHeart) -> str:
    """Evaluate candidate and current on the same images, and let the gate decide."""
    candidate = run.candidate
    frozen = frozen_split(snapshot=snapshot)
    if candidate is None or frozen is None:
        raise TrainingError("The snapshot holds no labelled image; correct some and train again.")
    later = unmeasured(current_version(run.dataset, run.family), frozen)
    first = Clock(heart, f"trying {candidate}", later + unmeasured(candidate, frozen))
    with telling(first.tell):
        smoke = smoke_test(version_folder(candidate), folder, heart.should_stop)
    log.info("Smoke test: %s.", smoke.sentence())
    mine = measured(candidate, frozen, folder, heart, later)
    while True:
        heart.check()
        current = current_version(run.dataset, run.family)
        if current == candidate:
            return f"{candidate} was promoted."  # by hand, or before this worker took over
        theirs = measured(current, frozen, folder, heart) if current else None
        heart.check()
        message = candidate_settle(
            candidate=mine,
            current=theirs,
            frozen=frozen,
            suspect="" if smoke.sane else smoke.sentence(),
        )
        if message is not None:
            return message


def _compared(run: TrainingRun, snapshot: Snapshot, folder: Path, heart: RunHeart) -> str:
    """Measure a rebuilt version and the original on the same images; nothing is promoted."""
    rebuild_check(run=run)
    frozen = frozen_split(snapshot=snapshot)
    if frozen is None:
        raise TrainingError("The snapshot holds no labelled image to compare on.")
    for version in (run.candidate, run.rebuilds):
        heart.check()
        if version is not None:
            measured(version, frozen, folder, heart)
    found = rebuild_compare(run=run)
    apart = max((abs(value) for value in found["differences"].values()), default=0.0)
    return (
        f"{run.candidate} is {run.rebuilds} made again: on {frozen.images} {frozen.split} images"
        f" their figures differ by at most {apart:.4f}."
    )


def _remarks(snapshot: Snapshot) -> list[str]:
    skipped = snapshot.counts.get("skipped", [])
    if not skipped:
        return []
    names = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5} more" * (len(skipped) > 5))
    return [f"Skipped for having fewer than {MIN_TRAIN_MASKS} masks: {names}."]

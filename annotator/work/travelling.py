"""Checkpoints that travel: a run whose machine is lost goes on elsewhere from its last epoch.

They lie under ``checkpoints/RUN/EPOCH-CLAIM/``, written beside the training and at most once in
``CHECKPOINT_SECONDS``; the checkpoint itself comes last, so a set that has it is whole.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import TracebackType

from django.conf import settings

from annotator import storage
from annotator.exceptions import CytoloopError
from annotator.models import RunStatus, TrainingRun
from inference.errors import InferenceError
from inference.files import linked_or_copied
from training.kept import CHECKPOINT, HANDED_ON, newest_epoch

log = logging.getLogger(__name__)

PREFIX = "checkpoints"
_KEY = re.compile(rf"{PREFIX}/\d+/\d+-[^/]+/[^/]+")
_PATIENCE = 5.0  # seconds that the end of a training waits for a checkpoint on its way


class Sender:
    """``with Sender(run, claim) as sender:`` stores the newest epoch of a training meanwhile."""

    def __init__(self, run: TrainingRun, claim: str) -> None:
        self._run = run.pk
        self._claim = claim
        self._asked = threading.Condition()
        self._staged: tuple[int, Path] | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Sender:
        if settings.STORE_CHECKPOINTS:
            name = f"checkpoints of run {self._run}"
            self._thread = threading.Thread(target=self._send_all, name=name, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._asked:
            self._over = True
            self._asked.notify()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        if self._staged is not None:
            shutil.rmtree(self._staged[1], ignore_errors=True)

    def epoch_ended(self, folder: Path, epoch: int) -> None:
        """``folder`` has the state after ``epoch``; what is staged takes the last one's place."""
        if self._thread is None:
            return
        stage = folder / f"stage-{epoch}"
        try:
            _link(folder, stage)
        except (OSError, InferenceError):  # a full disk is for the training itself to tell
            shutil.rmtree(stage, ignore_errors=True)
            return
        with self._asked:
            older, self._staged = self._staged, (epoch, stage)
            self._asked.notify()
        if older is not None:
            shutil.rmtree(older[1], ignore_errors=True)

    def _send_all(self) -> None:
        while (staged := self._next()) is not None:
            began = time.monotonic()
            self._send(*staged)
            with self._asked:
                rest = began + settings.CHECKPOINT_SECONDS - time.monotonic()
                self._asked.wait_for(lambda: self._over, max(0.0, rest))

    def _next(self) -> tuple[int, Path] | None:
        with self._asked:
            self._asked.wait_for(lambda: self._over or self._staged is not None)
            if self._over:
                return None
            staged, self._staged = self._staged, None
            return staged

    def _send(self, epoch: int, stage: Path) -> None:
        folder = f"{PREFIX}/{self._run}/{epoch:06d}-{self._claim}"
        try:
            for name in HANDED_ON:  # the checkpoint is the last of them
                if (stage / name).exists():
                    storage.put(f"{folder}/{name}", stage / name)
            _forget(key for key in _stored(self._run) if _epoch(key) < epoch)
        except (CytoloopError, OSError) as error:
            log.warning("The checkpoint of epoch %d was not stored: %s", epoch, error)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def checkpoint_fetch(run: TrainingRun, into: Path) -> None:
    """Bring the newest stored checkpoint of ``run`` to a folder in ``into``, if none is newer.

    Without storage, or with a set that is not whole, the run goes on from what is there.
    """
    if not settings.STORE_CHECKPOINTS:
        return
    try:
        keys = [key for key in _stored(run.pk) if key.endswith(f"/{CHECKPOINT}")]
        newest = max(keys, key=_epoch, default=None)
        if newest is None or _epoch(newest) <= newest_epoch(into):
            return
        log.info("Epoch %d of run %s comes from another machine.", _epoch(newest), run.pk)
        prefix = str(PurePosixPath(newest).parent)
        storage.folder_get(prefix, into / f"stored-{_epoch(newest)}")
    except CytoloopError as error:
        log.warning("No stored checkpoint of run %s could be had: %s", run.pk, error.message)


def checkpoints_forget(run: TrainingRun) -> None:
    """Remove what is stored of a run that is done."""
    if settings.STORE_CHECKPOINTS:
        with suppress(CytoloopError):  # storage is down: pruning comes by again
            _forget(_stored(run.pk))


def checkpoints_prune(limit: datetime) -> None:
    """Remove checkpoints of runs that are deleted, done, or over since before ``limit``."""
    if not settings.STORE_CHECKPOINTS:
        return
    with suppress(CytoloopError):
        keys = _ours(storage.keys_under(PREFIX))
        ids = {_run_of(key) for key in keys}
        runs = TrainingRun.objects.filter(pk__in=ids).exclude(status=RunStatus.DONE)
        kept = {run.pk for run in runs if run.finished_at is None or run.finished_at >= limit}
        _forget(key for key in keys if _run_of(key) not in kept)


def _stored(run_id: int) -> list[str]:
    return _ours(storage.keys_under(f"{PREFIX}/{run_id}"))


def _ours(keys: Iterable[str]) -> list[str]:
    """Without what somebody else has put there: it must not end a run, nor be removed."""
    return [key for key in keys if _KEY.fullmatch(key)]


def _forget(keys: Iterable[str]) -> None:
    for key in sorted(keys, key=lambda key: not key.endswith(CHECKPOINT)):
        storage.delete(key)


def _epoch(key: str) -> int:
    return int(PurePosixPath(key).parts[2].partition("-")[0])


def _run_of(key: str) -> int:
    return int(PurePosixPath(key).parts[1])


def _link(folder: Path, stage: Path) -> None:
    """The files as they are now under further names: the training replaces its own whole."""
    stage.mkdir()
    for name in HANDED_ON:
        if (folder / name).exists():
            linked_or_copied(folder / name, stage / name, durable=False)

"""Celery entries: an id in, its row read again, the work done. Imported by Celery alone.

The work is imported inside the tasks: torch is then loaded in the pool's processes only, after
the fork, and neither in the worker's parent nor in beat.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from billiard.process import active_children
from celery import shared_task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down
from django.conf import settings

from annotator.dispatch import Job, enqueue
from annotator.exceptions import CytoloopError, NotReady
from annotator.models import Dataset
from annotator.work import shutdown

log = logging.getLogger(__name__)

# A worker that predicts thousands of images lets exports and housekeeping in this often.
_SLICE_SECONDS = 20.0


def _whole(task: Callable[[int], None]) -> Callable[[int], None]:
    """``task``, which a stop signal does not end in its midst."""

    @wraps(task)
    def work(row_id: int) -> None:
        with shutdown.whole_task():
            task(row_id)

    return work


@shared_task(name=Job.PREDICT_IMAGES.value)
@_whole
def predict_images(dataset_id: int) -> None:
    """Predict for a while, and come back when there is more."""
    from annotator.work.prediction import predict_pending
    from inference.errors import InferenceError

    dataset = Dataset.objects.filter(pk=dataset_id).first()
    if dataset is None:
        return
    try:
        done = predict_pending(dataset=dataset, seconds=_SLICE_SECONDS)
    except NotReady:
        return
    except (CytoloopError, InferenceError) as error:
        log.error("%s cannot be predicted: %s", dataset, error.message)
        return
    if done.more and not shutdown.leaving():
        # It lapses when others have taken its place in the meantime; beat sends it again.
        enqueue(Job.PREDICT_IMAGES, dataset_id, expires=settings.BEAT_SECONDS)
    elif done.images:
        enqueue(Job.TICK, 0)  # a first detector may be due now


@shared_task(name=Job.TRAIN.value)
@_whole
def train(run_id: int) -> None:
    """Work on a run unless another worker holds it."""
    from annotator.work.training import work_on_run

    if work_on_run(run_id):
        enqueue(Job.TICK, 0)


@shared_task(name=Job.SEARCH.value)
@_whole
def search(search_id: int) -> None:
    """Train the next trial of a search, and come back for another; beat brings more workers."""
    from annotator.work.searching import work_on_search

    if work_on_search(search_id) and not shutdown.leaving():
        enqueue(Job.SEARCH, search_id)


@shared_task(name=Job.TAKE_IN.value)
@_whole
def take_in(run_id: int) -> None:
    """Take in a model that was trained elsewhere."""
    train(run_id)


@shared_task(name=Job.EXPORT.value)
@_whole
def export(export_id: int) -> None:
    """Write an export's zip."""
    from annotator.work.exporting import work_on_export

    work_on_export(export_id)


@shared_task(name=Job.TICK.value)
@_whole
def tick(_: int) -> None:
    """One round of upkeep."""
    from annotator.work.upkeep import upkeep

    upkeep()


def _cores() -> int:
    """The cores this process may use; macOS cannot say and gives all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@worker_process_init.connect
def _begin(**_: Any) -> None:
    # Read by torch when the first task loads it.
    os.environ.setdefault("OMP_NUM_THREADS", str(_cores()))


@worker_ready.connect
def _look_around(**_: Any) -> None:
    """A worker that starts looks at once for what another left behind."""
    enqueue(Job.TICK, 0, expires=settings.BEAT_SECONDS)


@worker_shutting_down.connect
def _leave(**_: Any) -> None:
    """Tell the pool's processes, which the stop signal may not have reached."""
    for child in active_children():
        if child.pid:
            os.kill(child.pid, signal.SIGTERM)

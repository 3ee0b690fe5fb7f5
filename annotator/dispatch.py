"""Waking workers: by task name and after commit, so that no task is imported by the web."""

from __future__ import annotations

import logging
from enum import StrEnum

from django.conf import settings
from django.db import transaction

from annotator.celery import app

log = logging.getLogger(__name__)


class Job(StrEnum):
    """Tasks by name. Each takes the id of a row, re-reads it and may run twice."""

    PREDICT_IMAGES = "predict_images"  # dataset id: predicts all that lack the current pair
    TRAIN = "train"  # run id
    SEARCH = "search"  # search id: trains its next trial
    TAKE_IN = "take_in"  # run id, of a model that was trained elsewhere
    EXPORT = "export"  # export id
    TICK = "tick"  # 0: what beat asks of everyone


def queue_of(job: Job) -> str:
    """The Celery queue that ``job`` runs on."""
    if job in (Job.TRAIN, Job.SEARCH):
        return str(settings.TRAINING_QUEUE)
    # A model that was sent does not wait until a training ends.
    runs_models = job in (Job.PREDICT_IMAGES, Job.TAKE_IN)
    return str(settings.PREDICTION_QUEUE) if runs_models else "cpu"


def enqueue(job: Job, row_id: int, *, expires: int | None = None) -> None:
    """Send ``job`` once the current transaction commits; it lapses after ``expires`` seconds.

    A broker that cannot be reached is logged, not raised: the row says what is to be done and
    the next beat finds it.
    """

    def send() -> None:
        try:
            app.send_task(
                job.value, args=[row_id], queue=queue_of(job), retry=False, expires=expires
            )
        except Exception:  # whatever the broker's client raises
            log.exception("could not wake %s(%s); beat will", job, row_id)

    transaction.on_commit(send)

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
    EXPORT = "export"  # export id
    TICK = "tick"  # 0: what beat asks of everyone


def queue_of(job: Job) -> str:
    """The Celery queue that ``job`` runs on."""
    if job is Job.TRAIN:
        return str(settings.TRAINING_QUEUE)
    return str(settings.PREDICTION_QUEUE) if job is Job.PREDICT_IMAGES else "cpu"


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

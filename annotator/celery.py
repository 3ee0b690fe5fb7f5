"""The Celery app. Queues: ``cpu`` (or ``gpu``) predicts and keeps house, ``training`` trains."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")

TRANSPORT_ALIASES |= {
    "filesystem": "annotator.folder_broker:Transport",
    "redis": "annotator.redis_broker:Transport",
    "rediss": "annotator.redis_broker:Transport",
}
app = Celery("cytoloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
# By name, so that the web process never imports the tasks (and with them torch).
app.conf.imports = ("annotator.tasks",)

"""The Celery app. Queues: ``cpu`` (or ``gpu``) predicts and keeps house, ``training`` trains."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotator.settings")

app = Celery("cytoloop")
app.config_from_object("django.conf:settings", namespace="CELERY")
# By name, so that the web process never imports the tasks (and with them torch).
app.conf.imports = ("annotator.tasks",)

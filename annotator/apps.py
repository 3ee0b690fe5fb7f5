"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AnnotatorConfig(AppConfig):
    name = "annotator"
    label = "annotator"
    verbose_name = "Cytoloop"
    default_auto_field = "django.db.models.BigAutoField"

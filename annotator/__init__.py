"""The Django project and its one app: the only package that knows HTTP, ORM, storage and Celery."""

from annotator.celery import app as celery_app

__all__ = ["celery_app"]

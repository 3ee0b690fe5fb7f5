"""Reads over exports."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from annotator.models import Export, ExportStatus

_STUCK = timedelta(minutes=30)


def waiting_exports(now: datetime) -> QuerySet[Export]:
    """Exports nobody has begun, and those whose worker has been silent for too long."""
    stuck = Q(status=ExportStatus.RUNNING, started_at__lt=now - _STUCK)
    return Export.objects.filter(Q(status=ExportStatus.QUEUED) | stuck).order_by("id")

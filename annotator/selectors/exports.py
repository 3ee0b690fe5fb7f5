"""Reads over exports."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from annotator.models import Export, ExportStatus

# A worker beats every second, also while it packs and stores; so long a silence is its death, and
# not a database that was away for a while.
_SILENT = timedelta(minutes=10)


def waiting_exports(now: datetime) -> QuerySet[Export]:
    """Exports nobody has begun, and those whose worker has been silent for too long."""
    silent = Q(status=ExportStatus.RUNNING, heartbeat_at__lt=now - _SILENT)
    return Export.objects.filter(Q(status=ExportStatus.QUEUED) | silent).order_by("id")

"""Reads over members."""

from __future__ import annotations

from django.db.models import QuerySet

from annotator.models import Dataset, Membership


def members_of(dataset: Dataset) -> QuerySet[Membership]:
    """Members with their users, in the order in which they joined."""
    return Membership.objects.filter(dataset=dataset).select_related("user").order_by("id")

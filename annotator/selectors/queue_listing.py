"""The queue as people look at it: filtered and sorted by why its items are asked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count, F, FloatField, Func, IntegerField, Q, QuerySet, TextField, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from annotator.models import Dataset, Kind, QueueItem

# How a list may be sorted, and by which columns; the first is what a cursor remembers.
ORDERS = {
    "score": ("-score", "id"),
    "uncertainty": ("-doubt", "id"),
    "minutes": ("expected", "id"),
    "reasons": ("-grounds", "id"),
    "number": ("-number", "id"),
}
_UNKNOWN_MINUTES = 1e9  # an item whose time nobody can tell comes last
# The largest number that the named reasons of an item give, for each database.
_NUMBER = {
    "sqlite": "(SELECT MAX(json_extract(ground.value, '$.value'))"
    " FROM json_each(annotator_queueitem.reasons) AS ground{where})",
    "postgresql": "(SELECT MAX((ground->>'value')::double precision)"
    " FROM jsonb_array_elements(annotator_queueitem.reasons) AS ground{where})",
}
_CODE = {"sqlite": "json_extract(ground.value, '$.code')", "postgresql": "ground->>'code'"}


@dataclass(frozen=True)
class Listing:
    """Which items are listed; empty: all. With several reasons, those with any of them."""

    reasons: tuple[str, ...] = ()
    split: str = ""
    culture: str = ""
    image: int | None = None


class _Length(Func):
    """How many elements a JSON list has."""

    function = "json_array_length"
    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="jsonb_array_length", **context)


def listed_items(dataset: Dataset, viewer: User, listing: Listing) -> QuerySet[QueueItem]:
    """Open items with ``doubt``, ``expected``, ``grounds`` and ``number``, to be sorted by these.

    Items that measure an annotator are nobody's to see but whose they are, while they hold them,
    so that they look like any other.
    """
    own = Q(annotator=viewer, leased_until__gt=timezone.now())
    items = (
        QueueItem.objects.filter(
            Q(kind=Kind.ASK) | own, image__dataset=dataset, closed_at__isnull=True
        )
        .select_related("image", "annotator")
        .order_by("-score", "id")
    )
    if listing.split:
        items = items.filter(image__split=listing.split)
    if listing.culture:
        items = items.filter(image__culture=listing.culture)
    if listing.image is not None:
        items = items.filter(image=listing.image)
    if listing.reasons:
        items = items.annotate(told=Cast("reasons", TextField())).filter(_tells(listing.reasons))
    return items.annotate(
        doubt=Coalesce(F("prediction__uncertainty"), Value(-1.0)),
        expected=Coalesce(F("minutes"), Value(_UNKNOWN_MINUTES)),
        grounds=_Length(F("reasons")),
        number=Coalesce(_number(listing.reasons), Value(-1.0)),
    )


def _tells(codes: tuple[str, ...]) -> Q:
    """The condition that one of the reasons has one of ``codes``, in both databases' JSON.

    A quote inside a reason's words is escaped there, so words are not taken for a code.
    """
    found = Q()
    for code in codes:
        found |= Q(told__contains=f'"code": "{code}"')
    return found


def _number(codes: tuple[str, ...]) -> RawSQL:
    vendor = connection.vendor
    places = ", ".join(["%s"] * len(codes))
    where = f" WHERE {_CODE[vendor]} IN ({places})" if codes else ""
    return RawSQL(_NUMBER[vendor].format(where=where), list(codes), output_field=FloatField())


def queue_figures(dataset: Dataset, viewer: User, listing: Listing) -> dict[str, Any]:
    """{"open", "held", "reasons": [{"code", "count"}]} of the items listed, most frequent first."""
    items = listed_items(dataset, viewer, listing).order_by()
    held = Q(leased_until__gt=timezone.now())
    figures = items.aggregate(open=Count("id"), held=Count("id", filter=held))
    counts: Counter[str] = Counter()
    for reasons in items.values_list("reasons", flat=True):
        counts.update({reason["code"] for reason in reasons})
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return figures | {"reasons": [{"code": code, "count": count} for code, count in ranked]}

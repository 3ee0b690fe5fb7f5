"""Show the queue: which images come next and why."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from annotator.management.base import DatasetCommand
from annotator.models import Dataset, QueueItem
from annotator.selectors.queue import open_items
from annotator.services.queue import queue_refresh


class Command(DatasetCommand):
    """``manage.py queue_show NAME [--limit N] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, default=20)

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        queue_refresh(dataset=dataset)
        items = open_items(dataset)
        return {
            "open": items.count(),
            "items": [_row(item) for item in items[: max(0, options["limit"])]],
        }

    def lines(self, result: dict[str, Any]) -> list[str]:
        lines = [f"{result['open']} open"]
        for item in result["items"]:
            held = f" (held by {item['annotator']})" if item["annotator"] else ""
            why = "; ".join(reason["text"] for reason in item["reasons"])
            lines.append(f"{item['score']:.3f}  {item['name']} [{item['split']}]{held}  {why}")
        return lines


def _row(item: QueueItem) -> dict[str, Any]:
    held = item.annotator is not None and item.leased_until and item.leased_until > timezone.now()
    return {
        "id": item.pk,
        "image": item.image_id,
        "name": item.image.name,
        "split": item.image.split,
        "score": item.score,
        "reasons": item.reasons,
        "annotator": item.annotator.get_username() if held and item.annotator else None,
        "leased_until": item.leased_until.isoformat() if held and item.leased_until else None,
    }

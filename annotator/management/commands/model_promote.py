"""Let a version predict from now on; also the way back to a retired one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.models import Dataset
from annotator.selectors.versions import version_by_name
from annotator.services.versions import version_promote


class Command(DatasetCommand):
    """``manage.py model_promote NAME VERSION``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("version", help="e.g. segmenter-2")

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        version = version_promote(version=version_by_name(dataset, options["version"]))
        return {"version": version.version, "stage": version.stage}

    def lines(self, result: dict[str, Any]) -> list[str]:
        return [f"{result['version']} predicts from now on."]

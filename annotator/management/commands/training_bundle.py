"""Write a training bundle: one zip that trains a model on any machine with Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.management.runs import add_settings, settings_of
from annotator.models import Dataset, Family
from annotator.services.bundles import BundleRequest, bundle_write


class Command(DatasetCommand):
    """``manage.py training_bundle NAME segmenter|detector OUT [--base VERSION|scratch] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("family", choices=Family.values)
        parser.add_argument("out", type=Path, help="the zip to write, e.g. lab-bundle.zip")
        add_settings(parser)

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        request = BundleRequest(
            dataset=dataset,
            family=options["family"],
            base=options["base"],
            config=settings_of(options),
        )
        made = bundle_write(request=request, out=options["out"])
        return {
            "path": str(made.path),
            "family": request.family,
            "snapshot": made.snapshot,
            "start": made.start,
            "images": made.images,
            "cells": made.cells,
        }

    def lines(self, result: dict[str, Any]) -> list[str]:
        return [
            f"{result['path']}: {result['images']} images, {result['cells']} cells, starts from"
            f" {result['start']}. Its README.md says how to train it and bring the model back."
        ]

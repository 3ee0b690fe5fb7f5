"""Export label images and cells for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Split
from annotator.services.exports import (
    FORMATS,
    PREDICTIONS,
    REVISIONS,
    ExportRequest,
    export_write,
)


class Command(DatasetCommand):
    """``manage.py annotations_export NAME FORMAT OUT [--split …] [--source …]``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("format", choices=FORMATS)
        parser.add_argument("out", type=Path, help="folder, or for coco also a .json file")
        parser.add_argument("--split", choices=Split.values, default="")
        parser.add_argument("--source", choices=(REVISIONS, PREDICTIONS), default=REVISIONS)

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        request = ExportRequest(dataset, options["format"], options["source"], options["split"])
        written = export_write(request=request, out=options["out"])
        return {"images": written.images, "cells": written.cells, "path": str(written.path)}

    def lines(self, result: dict[str, Any]) -> list[str]:
        return [f"{result['images']} images with {result['cells']} cells in {result['path']}"]

"""Import a model: a cellpose 2/3 checkpoint, or a folder or zip of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Family


class Command(DatasetCommand):
    """``manage.py model_import NAME segmenter|detector FILE [--diameter PX] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("family", choices=Family.values)
        parser.add_argument(
            "file",
            type=Path,
            help="cellpose 2/3 checkpoint, or a folder or zip with weights.safetensors, meta.json",
        )
        parser.add_argument(
            "--diameter",
            type=float,
            help="cell diameter in px to use for every image (default: estimated per image)",
        )

        parser.add_argument(
            "--precision",
            choices=("float32", "bfloat16"),
            help="of a segmenter: float32 gives cellpose's masks to the pixel (default for its"
            " checkpoints), bfloat16 nearly the same several times faster",
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        from annotator.work.importing import import_model  # loads torch, which takes seconds

        version = import_model(
            dataset=dataset,
            family=options["family"],
            file=options["file"],
            diameter=options["diameter"],
            precision=options["precision"],
        )
        return {"version": version.version, "family": version.family, "stage": version.stage}

    def lines(self, result: dict[str, Any]) -> list[str]:
        promote = "" if result["stage"] == "current" else "; model_promote lets it predict"
        return [f"Imported {result['version']}, {result['stage']}{promote}."]

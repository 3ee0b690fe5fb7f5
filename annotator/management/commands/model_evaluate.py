"""Measure a version on the corrected images of a split."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.models import Dataset, Split
from annotator.selectors.versions import version_by_name


class Command(DatasetCommand):
    """``manage.py model_evaluate NAME VERSION [--split test] --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("version", help="e.g. segmenter-2")
        parser.add_argument(
            "--split",
            choices=Split.values,
            help="default: test, or validation while no test image has a revision",
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        version = version_by_name(dataset, options["version"])
        from annotator.work.evaluation import evaluate_version  # loads torch

        evaluation = evaluate_version(version, options["split"])
        return {
            "version": version.version,
            "split": evaluation.split,
            "images": evaluation.images,
            **evaluation.metrics,
        }

    def lines(self, result: dict[str, Any]) -> list[str]:
        lines = [f"{result['version']} on {result['images']} {result['split']} images"]
        for key, value in result.items():
            if isinstance(value, float):
                lines.append(f"  {key:22} {value:.3f}")
            elif isinstance(value, dict):
                lines += [f"  {key}.{name}: {figures}" for name, figures in value.items()]
        return lines

"""Make a version again from its snapshot, settings and seed, and compare the two."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotator.management.runs import RunCommand
from annotator.models import Dataset
from annotator.selectors.versions import version_by_name
from annotator.services.rebuilds import rebuild_compare, rebuild_create


class Command(RunCommand):
    """``manage.py model_rebuild NAME VERSION --wait --json``"""

    help = __doc__ or ""

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument("version", help="e.g. segmenter-2")
        parser.add_argument(
            "--wait", action="store_true", help="train in this process; needs no worker"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        original = version_by_name(dataset, options["version"])
        run = rebuild_create(version=original, wake=not options["wait"])
        made = {"run": run.pk, "family": run.family, "rebuilds": original.version}
        if not options["wait"]:
            return made | {"status": run.status}
        version = self.work_on(run)
        snapshot = run.snapshot.hash if run.snapshot else None
        compared = rebuild_compare(run=run)
        return {"version": version.version, "snapshot": snapshot} | made | compared

    def lines(self, result: dict[str, Any]) -> list[str]:
        if "differences" not in result:
            return super().lines(result)
        lines = [
            f"{result['version']} rebuilds {result['rebuilds']}; on {result['images']}"
            f" {result['split']} images:"
        ]
        for key, difference in result["differences"].items():
            value = result["metrics"][key]
            lines.append(f"  {key:22} {value:.4f} ({difference:+.4f})")
        return lines

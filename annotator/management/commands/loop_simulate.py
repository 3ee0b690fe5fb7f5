"""Try strategies on a data set's corrected images: an oracle answers from the known masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotator.management.base import DatasetCommand
from annotator.models import Dataset


class Command(DatasetCommand):
    """``manage.py loop_simulate NAME --strategies random,uncertainty,… --budget CELLS --json``"""

    help = __doc__ or ""

    interrupted = "Stopped; with --results the runs that were finished are kept."

    def add_more(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--strategies",
            default="random,uncertainty",
            help="names, with commas between; random whole images are always among the runs",
        )
        parser.add_argument("--asking", default="image", help="some of image,region,cell")
        parser.add_argument("--budget", type=int, default=500, help="cells that a run may ask for")
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--seeds", type=int, default=3)
        parser.add_argument("--processes", type=int, default=1, help="runs at a time")
        parser.add_argument(
            "--results", type=Path, help="JSON-lines file; the same command goes on from it"
        )

    def run(self, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
        from annotator.work.simulation import SimulationRequest, simulate  # loads torch

        request = SimulationRequest(
            dataset=dataset,
            strategies=_words(options["strategies"]),
            asking=_words(options["asking"]),
            cells=options["budget"],
            rounds=options["rounds"],
            seeds=options["seeds"],
            processes=options["processes"],
            results=options["results"],
        )
        return {"dataset": dataset.name, **simulate(request, self.tell)}

    def lines(self, result: dict[str, Any]) -> list[str]:
        full = result["full"]["mean"]
        lines = [
            f"{result['pool']} images to choose from, {result['test']} to judge by; all of them"
            f" give {full:.3f} ({result['metric']}), the target is {result['target']:.3f}",
            f"{'asked':8}{'strategy':20}{'cells':>8}{'minutes':>9}{'× random':>10}  reached",
        ]
        lines += [
            f"{run['asking']:8}{run['strategy']:20}{run['cells']['mean']:8.0f}"
            f"{run['minutes']['mean']:9.1f}{run['cells_ratio']['mean']:10.2f}"
            f"  {run['reached']} of {run['of']}"
            for run in result["runs"]
        ]
        return lines


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]

"""What active learning saves: strategies and ways of asking, side by side, on known truths.

    .venv/bin/python -m benchmarks.active_learning [--images DIR …] [--typed DIR …] [--quick]

An oracle answers from the true masks and is charged in cells and in modelled minutes
(``training.annotation_cost``); see docs/active-learning.md for how. Sets: drawn HEK/N2a images with
rare hard cases, and any folders of ``X.png|tif`` beside ``X_masks.png|tif`` (``--images``; with
``--typed`` their types, from ``X_types.csv`` or the name's first word, are asked for too). A folder
with ``train`` and ``test`` in it is judged on the latter, else every third image is.

``--results FILE`` keeps each finished run as a line: the same command goes on where it was stopped.
``--plot FILE`` (SVG) shows the learning curves. The last line is one JSON object: ``cells_ratio``
and ``minutes_ratio``, by way of asking, of the strategy that ``ours`` names over random whole
images, to 95 % of what all data give, mean over sets and seeds with its standard error in
``…_se``; ``seeds``, ``first_seed``; and ``sets`` with the figures of every strategy.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.active_learning_sets import files_said, kept_set, of_folder, synthetic
from benchmarks.curves_svg import Panel, write_curves
from benchmarks.models import kept
from training.simulate import Plan, round_ends
from training.study import Job, jobs_of, run_study, summarised
from training.study_model import Budget

# What is compared with random whole images. Data sets have it as a strategy for images and regions;
# cells are always chosen by the same measure, among the most uncertain, with no two alike and each
# with its nearest neighbour (``inference.likeness``); places of missing ones by how likely a cell
# is there.
OURS = {"image": "uncertainty", "region": "uncertain-representative", "cell": "uncertain-novel"}
COMPARED = (
    ("image", "random"),
    ("image", "uncertainty"),
    ("image", "uncertain-novel"),
    ("region", "random"),
    ("region", "uncertain-representative"),
    ("cell", "uncertain-novel"),
)
SEEDS = 5
POOL, TEST = 120, 36  # drawn images
START = 8  # cells
MOST, ROUNDS = 400, 3


def main() -> None:
    """Run what is not done yet and print the figures."""
    given = _arguments()
    began = time.perf_counter()
    place = kept() / "active-learning"
    jobs, metrics = _jobs(given, place)
    results = given.results or place / "results.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    run_study(jobs, results, given.processes, say)
    sets = summarised(jobs, results, metrics)
    plot = given.plot or Path(tempfile.gettempdir()) / "active-learning.svg"
    write_curves(plot, panels(sets))
    for line in table(sets):
        say(line)
    figures = headline(sets) | {"seeds": given.seeds, "first_seed": given.first_seed}
    figures |= {"plot": str(plot)}
    figures |= {"seconds": round(time.perf_counter() - began), "sets": sets}
    print(json.dumps(figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Strategies of active learning, compared.")
    parser.add_argument("--images", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--typed", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--no-synthetic", action="store_true", help="only the given folders")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them")
    parser.add_argument("--budget", type=int, default=MOST, help="cells that a run may ask for")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--compare", help="ASKING:STRATEGY,… instead of the usual ones; image:random is added"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, help="JSON lines; default: among what is kept")
    parser.add_argument("--plot", type=Path, help="SVG; default: in the folder of temporary files")
    parser.add_argument(
        "--quick", action="store_true", help="one seed, two rounds: a look in fifteen minutes"
    )
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.rounds = 1, 2
    return given


def _jobs(given: argparse.Namespace, place: Path) -> tuple[list[Job], dict[str, str]]:
    budget = Budget()
    sets: dict[str, Path] = {}
    if not given.no_synthetic:
        make = partial(synthetic, POOL, TEST)
        sets["synthetic"] = kept_set(place, "synthetic", f"{POOL} {TEST}", make, budget.diameter)
    metrics = {}
    for typed, folders in ((False, given.images), (True, given.typed)):
        for folder in folders:
            make = partial(of_folder, folder, typed)
            said = f"{typed} {files_said(folder)}"
            sets[folder.name] = kept_set(place, folder.name, said, make, budget.diameter)
            metrics[folder.name] = "typed_ap50" if typed else "ap50"
    wanted = plans(given, budget)
    return [job for folder in sets.values() for job in jobs_of(folder, wanted)], metrics


def plans(given: argparse.Namespace, budget: Budget) -> list[Plan]:
    """What each set is put through, seed by seed."""
    ends = round_ends(START, given.budget, given.rounds)
    return [
        Plan(asking, strategy, seed, ends, budget)
        for seed in range(given.first_seed, given.first_seed + given.seeds)
        for asking, strategy in _compared(given.compare)
    ]


def _compared(said: str | None) -> list[tuple[str, str]]:
    if not said:
        return list(COMPARED)
    pairs = [tuple(part.split(":", 1)) for part in said.split(",")]
    wanted = [("image", "random"), *((pair[0], pair[1]) for pair in pairs if len(pair) == 2)]
    return list(dict.fromkeys(wanted))


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def headline(sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The ratios of ``OURS`` by way of asking: geometric means over sets and seeds."""
    found: dict[str, Any] = {}
    for unit in ("cells", "minutes"):
        means: dict[str, float] = {}
        errors: dict[str, float] = {}
        for asking, strategy in OURS.items():
            logs = [
                math.log(ratio)
                for figures in sets.values()
                for run in figures["runs"]
                if (run["asking"], run["strategy"]) == (asking, strategy)
                for ratio in run[f"{unit}_ratio"]["by_seed"]
            ]
            if logs:
                means[asking] = float(np.exp(np.mean(logs)))
                spread = float(np.std(logs, ddof=1)) / math.sqrt(len(logs)) if logs[1:] else 0.0
                errors[asking] = means[asking] * spread
        found |= {f"{unit}_ratio": means, f"{unit}_ratio_se": errors}
    return found | {"ours": OURS}


def panels(sets: dict[str, dict[str, Any]]) -> list[Panel]:
    """The curves over cells of each set."""
    return [
        Panel(
            title=name,
            across="cells answered",
            up="AP at IoU 0.5" if figures["metric"] == "ap50" else "AP at IoU 0.5, types right",
            lines={f"{run['asking']}, {run['strategy']}": run["curve"] for run in figures["runs"]},
            target=figures["target"],
        )
        for name, figures in sets.items()
    ]


def table(sets: dict[str, dict[str, Any]]) -> list[str]:
    """The figures as a table of docs/active-learning.md has them."""
    lines = []
    for name, figures in sets.items():
        full = figures["full"]
        lines += [
            "",
            f"{name}: all data give {_told(full)}, the target is {figures['target']:.3f}",
            "",
            "| asked | strategy | cells | minutes | cells ratio | minutes ratio | area | reached |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {run['asking']} | {run['strategy']} | {_told(run['cells'], 0)} |"
            f" {_told(run['minutes'], 1)} | {_told(run['cells_ratio'], 2)} |"
            f" {_told(run['minutes_ratio'], 2)} | {_told(run['area'])} |"
            f" {run['reached']} of {run['of']} |"
            for run in figures["runs"]
        ]
    return lines


def _told(figure: dict[str, Any], digits: int = 3) -> str:
    error = "" if figure["se"] is None else f" ± {figure['se']:.{digits}f}"
    return f"{figure['mean']:.{digits}f}{error}"


if __name__ == "__main__":
    main()

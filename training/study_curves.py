"""What a study's runs come to: labels to reach a target, area under the curve, ratios by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.optimize import isotonic_regression

ENOUGH = 0.95  # of what all data give
BASELINE = ("image", "random")

Row = Mapping[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reached:
    """How many labels (cells or minutes) it took to reach a target; ``whether`` it was reached at
    all. Where it was not, ``labels`` are all that were given: it takes more than that.
    """

    labels: float
    whether: bool


def labels_to(target: float, labels: Sequence[float], values: Sequence[float]) -> Reached:
    """Where a learning curve first has ``target``, by linear interpolation over log labels.

    ``values`` are first made to rise (isotonic regression): more labels do not make a model worse,
    and one lucky round should not count.
    """
    x, y = np.asarray(labels, float), rising(values)
    above = np.flatnonzero(y >= target)
    if not above.size:
        return Reached(float(x[-1]), False)
    at = int(above[0])
    if at == 0:
        return Reached(float(x[0]), True)
    low, high = math.log(max(x[at - 1], 1e-9)), math.log(max(x[at], 1e-9))
    share = (target - y[at - 1]) / max(y[at] - y[at - 1], 1e-12)
    return Reached(math.exp(low + share * (high - low)), True)


def rising(values: Sequence[float]) -> Floats:
    """The nearest sequence that never falls."""
    return np.asarray(isotonic_regression(np.asarray(values, float)).x, float)


def area_under(labels: Sequence[float], values: Sequence[float], low: float, high: float) -> float:
    """Mean value of the curve between ``low`` and ``high`` labels, straight between its points."""
    x, y = np.asarray(labels, float), np.asarray(values, float)
    inner = x[(x > low) & (x < high)]
    grid = np.concatenate([[low], inner, [high]])
    heights = np.interp(grid, x, y)
    if high <= low:
        return float(heights[0])
    return float(trapezoid(heights, grid) / (high - low))


def mean_and_error(values: Sequence[float]) -> dict[str, float | None]:
    """{"mean", "se"}: the standard error is None of a single value."""
    found = np.asarray(values, float)
    error = None
    if found.size > 1:
        error = float(found.std(ddof=1) / math.sqrt(found.size))
    return {"mean": float(found.mean()), "se": error}


@dataclass(frozen=True)
class Run:
    """A finished run."""

    asking: str
    strategy: str
    seed: int
    rows: Sequence[Row]

    def column(self, name: str) -> list[float]:
        """One number of each round."""
        return [float(row[name]) for row in self.rows]


def summary(runs: Sequence[Run], full: Sequence[Row], metric: str = "ap50") -> dict[str, Any]:
    """Figures of one set: {"target", "full", "seeds", "runs": [{"asking", "strategy", "cells",
    "minutes", "area", "reached", "curve", "cells_ratio", "minutes_ratio"}]}.

    ``full``: what all data give, a row for each seed; the target is ``ENOUGH`` of their mean.
    Ratios are over random whole images, seed by seed, then averaged; "reached" and
    "baseline_reached" say in how many seeds the target was reached: where the baseline did not, a
    ratio is too high, where ours did not, too low.
    """
    best = mean_and_error([float(row[metric]) for row in full])
    target = ENOUGH * float(best["mean"] or 0.0)
    groups: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        groups.setdefault((run.asking, run.strategy), {})[run.seed] = run
    low = max((run.column("cells")[0] for run in runs), default=0.0)
    high = min((run.column("cells")[-1] for run in runs), default=0.0)
    baseline = groups.get(BASELINE, {})
    return {
        "metric": metric,
        "target": target,
        "full": best,
        "seeds": sorted({run.seed for run in runs}),
        "area_between": [low, high],
        "runs": [
            {"asking": asking, "strategy": strategy}
            | _group(list(by_seed.values()), target, metric, (low, high))
            | _ratios(by_seed, baseline, target, metric)
            for (asking, strategy), by_seed in groups.items()
        ],
    }


def _group(
    runs: Sequence[Run], target: float, metric: str, span: tuple[float, float]
) -> dict[str, Any]:
    found = {
        unit: [labels_to(target, run.column(unit), run.column(metric)) for run in runs]
        for unit in ("cells", "minutes")
    }
    areas = [area_under(run.column("cells"), run.column(metric), *span) for run in runs]
    return {
        **{unit: mean_and_error([each.labels for each in found[unit]]) for unit in found},
        "reached": sum(each.whether for each in found["cells"]),
        "of": len(runs),
        "area": mean_and_error(areas),
        "curve": curve(runs, metric),
    }


def curve(runs: Sequence[Run], metric: str) -> list[dict[str, Any]]:
    """Round by round, over seeds: mean cells and minutes, and the metric with its error."""
    count = min(len(run.rows) for run in runs)
    return [
        {
            "cells": float(np.mean([run.column("cells")[n] for run in runs])),
            "minutes": float(np.mean([run.column("minutes")[n] for run in runs])),
            **mean_and_error([run.column(metric)[n] for run in runs]),
        }
        for n in range(count)
    ]


def _ratios(
    ours: Mapping[int, Run], baseline: Mapping[int, Run], target: float, metric: str
) -> dict[str, Any]:
    seeds = sorted(set(ours) & set(baseline))
    if not seeds:
        return {}
    result: dict[str, Any] = {}
    for unit in ("cells", "minutes"):
        pairs = [
            (
                labels_to(target, ours[seed].column(unit), ours[seed].column(metric)),
                labels_to(target, baseline[seed].column(unit), baseline[seed].column(metric)),
            )
            for seed in seeds
        ]
        ratios = [mine.labels / theirs.labels for mine, theirs in pairs]
        result[f"{unit}_ratio"] = mean_and_error(ratios) | {"by_seed": ratios}
        result["baseline_reached"] = sum(theirs.whether for _, theirs in pairs)
    return result

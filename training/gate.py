"""The promotion gate: may a candidate replace the current model? Numpy only.

Both were measured on the same images, so images are compared one by one: the mean difference of AP
is resampled over images (paired bootstrap; Efron & Tibshirani 1993, chapter 13), which tells a real
loss from luck. What chance cannot explain stays out, and so does a loss that is too large to be
waved through, or one of a single type that the others hide. Resamples of a few images hardly differ
from each other, so there only a large loss counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLACK = 0.005  # by which equal models scatter in figures that have no value per image
MOST = 0.02  # loss of mean AP that chance does not excuse
FEWEST = 8  # images below which resampling calls one equal model in four to fifteen worse
MOST_OF_A_TYPE = 0.05  # loss of one type's F1
_RESAMPLES = 4000
_TAILS = (2.5, 97.5)  # percentiles

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """What ``training.evaluate.evaluate`` says of one model."""

    metrics: Figures
    per_image: Sequence[Figures] = field(default_factory=tuple)


def not_worse(candidate: Measured, current: Measured | None) -> tuple[bool, str]:
    """Whether ``candidate`` may replace ``current``, and why, in one sentence."""
    if current is None:
        return True, "There is no current model to compare with."
    told: list[str] = []
    worse: list[str] = []
    for verdict in (_overall(candidate, current), *_others(candidate, current)):
        if verdict is not None:
            told.append(verdict.words)
            worse += [verdict.words] * verdict.worse
    if not told or not candidate.metrics.get("images"):
        return False, "The two models have no measured figure in common; promote by hand."
    if worse:
        return False, f"The candidate is worse: {', '.join(worse)}."
    return True, f"The candidate is not worse: {', '.join(told)}."


@dataclass(frozen=True)
class _Verdict:
    words: str
    worse: bool


def _overall(candidate: Measured, current: Measured) -> _Verdict | None:
    """AP at IoU 0.5, image by image where both have the same images."""
    pair = _pair(candidate, current, "ap50")
    if pair is None:
        return None
    old, new = pair
    words = f"AP at IoU 0.5 {old:.3f} → {new:.3f}"
    differences = paired_differences(candidate.per_image, current.per_image, "ap50")
    if not differences.size:
        return _Verdict(words, new < old - SLACK)
    if differences.size < FEWEST:
        return _Verdict(words, new < old - MOST)
    low, high = bootstrap_interval(differences)
    words += f" (by resampling images {low:+.3f} to {high:+.3f})"
    return _Verdict(words, high < 0 or new < old - MOST)


def _others(candidate: Measured, current: Measured) -> list[_Verdict | None]:
    names = {"map": "mAP", "type_accuracy": "type accuracy"}
    found: list[_Verdict | None] = []
    for key, name in names.items():
        pair = _pair(candidate, current, key)
        if pair is not None:
            old, new = pair
            found.append(_Verdict(f"{name} {old:.3f} → {new:.3f}", new < old - SLACK))
    for kind, figures in (candidate.metrics.get("per_type") or {}).items():
        before = ((current.metrics.get("per_type") or {}).get(kind) or {}).get("f1")
        after = figures.get("f1")
        if before is not None and after is not None and after < before - MOST_OF_A_TYPE:
            found.append(_Verdict(f"F1 of {kind} {before:.3f} → {after:.3f}", worse=True))
    return found


def _pair(candidate: Measured, current: Measured, key: str) -> tuple[float, float] | None:
    """(current's, candidate's) figure, if both have it."""
    old, new = current.metrics.get(key), candidate.metrics.get(key)
    return None if old is None or new is None else (float(old), float(new))


def paired_differences(
    candidate: Sequence[Figures], current: Sequence[Figures], key: str
) -> NDArray[np.float64]:
    """Candidate's minus current's ``key`` (n,) on the images that both were measured on."""
    before = {row["image"]: float(row[key]) for row in current if row.get(key) is not None}
    values = [
        float(row[key]) - before[row["image"]]
        for row in candidate
        if row.get(key) is not None and row["image"] in before
    ]
    return np.array(values)


def bootstrap_interval(differences: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Between which values the mean of (n,) differences lies in 95 % of resamples of the images."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(differences), (_RESAMPLES, len(differences)))
    low, high = np.percentile(differences[chosen].mean(axis=1), _TAILS)
    return float(low), float(high)

"""The promotion gate: may a candidate replace the current model? Numpy only.

Both were measured on the same images, so images are compared one by one: the difference of AP, of
mAP and of the types' accuracy is resampled over images (paired bootstrap; Efron & Tibshirani 1993,
chapter 13), which tells a real loss from luck. What chance cannot explain stays out, and so does a
loss that is too large to be waved through, or one of a single type that the others hide. Resamples
of a few images hardly differ from each other, so there only a large loss counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLACK = 0.005  # by which equal models scatter in figures that have no value per image
MOST = 0.02  # loss of a figure that chance does not excuse
FEWEST = 8  # images below which resampling calls one equal model in four to fifteen worse
MARGIN = 0.05  # loss of one type's F1, where a data set names no other
_RESAMPLES = 4000
_TAILS = (2.5, 97.5)  # percentiles

Figures = Mapping[str, Any]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What ``training.evaluate.evaluate`` says of one model."""

    metrics: Figures
    per_image: Sequence[Figures] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Figure:
    """One that is compared: over all images, and what of it each image has."""

    key: str  # in the metrics
    name: str
    part: str  # in ``per_image``: an image's value, or its share of a sum …
    of: str | None = None  # … over that of this one


_FIGURES = (
    _Figure("ap50", "AP at IoU 0.5", "ap50"),
    _Figure("map", "mAP", "map"),
    _Figure("type_accuracy", "type accuracy", "typed_right", "typed"),
)


def not_worse(
    candidate: Measured, current: Measured | None, margin: float = MARGIN
) -> tuple[bool, str]:
    """Whether ``candidate`` may replace ``current``, and why, in one sentence.

    ``margin``, 0 … 1, is what a single type may lose of its F1.
    """
    if current is None:
        return True, "There is no current model to compare with."
    verdicts = [_compared(figure, candidate, current) for figure in _FIGURES]
    told: list[str] = []
    worse: list[str] = []
    for verdict in (*verdicts, *_types(candidate, current, margin)):
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


def _compared(figure: _Figure, candidate: Measured, current: Measured) -> _Verdict | None:
    """Image by image where both have the same images; None when one has no such figure."""
    old, new = (each.metrics.get(figure.key) for each in (current, candidate))
    if old is None or new is None:
        return None
    words = f"{figure.name} {old:.3f} → {new:.3f}"
    rows = paired(candidate.per_image, current.per_image, figure.part)
    if not rows:
        return _Verdict(words, new < old - SLACK)
    if len(rows) < FEWEST:
        return _Verdict(words, new < old - MOST)
    new_rows, old_rows = zip(*rows, strict=True)
    low, high = bootstrap_interval(_ratio(new_rows, figure), _ratio(old_rows, figure))
    words += f" (by resampling images {low:+.3f} to {high:+.3f})"
    return _Verdict(words, high < 0 or new < old - MOST)


def _types(candidate: Measured, current: Measured, margin: float) -> list[_Verdict]:
    found = []
    for kind, figures in (candidate.metrics.get("per_type") or {}).items():
        before = ((current.metrics.get("per_type") or {}).get(kind) or {}).get("f1")
        after = figures.get("f1")
        if before is not None and after is not None and after < before - margin:
            found.append(_Verdict(f"F1 of {kind} {before:.3f} → {after:.3f}", worse=True))
    return found


def paired(
    candidate: Sequence[Figures], current: Sequence[Figures], key: str
) -> list[tuple[Figures, Figures]]:
    """Rows of the images for which both were measured by ``key``, the candidate's first."""
    before = {row["image"]: row for row in current if row.get(key) is not None}
    return [
        (row, before[row["image"]])
        for row in candidate
        if row.get(key) is not None and row["image"] in before
    ]


def _ratio(rows: Sequence[Figures], figure: _Figure) -> tuple[Values, Values]:
    """Parts (n,) and what they are parts of (n,)."""
    parts = np.array([float(row[figure.part]) for row in rows])
    whole = [float(row[figure.of]) if figure.of else 1.0 for row in rows]
    return parts, np.array(whole)


def bootstrap_interval(
    new: tuple[Values, Values], old: tuple[Values, Values], seed: int = 0
) -> tuple[float, float]:
    """Between which values new minus old lies in 95 % of resamples of the images.

    Each is a ratio of sums over images: parts (n,) and what they are parts of (n,), ones for a
    mean.
    """
    rng = np.random.default_rng(seed)
    count = len(new[0])
    chosen = rng.integers(0, count, (_RESAMPLES, count))

    def figure(parts: Values, whole: Values) -> Values:
        total = whole[chosen].sum(axis=1)
        return np.asarray(parts[chosen].sum(axis=1) / np.maximum(total, 1e-12))

    low, high = np.percentile(figure(*new) - figure(*old), _TAILS)
    return float(low), float(high)

"""Windows of an image worth a few minutes of a person's time. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.effort import Effort

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 px, half-open

_WHOLE = 1.3  # times the minutes wanted, up to which an image is not cut
_STEPS = 4  # places tried per side of a window
_LEAST_DIAMETERS = 3  # sides of a window at least
_LEAST = 64  # px
_LEFT = 0.5  # wrong cells expected outside complete regions below which nothing is left to ask


@dataclass(frozen=True)
class Doubts:
    """Where an image's doubts lie: cells as rows, and missed ones as rows of no cell."""

    places: NDArray[np.float64]  # (n, 2) x, y px
    wrong: NDArray[np.float64]  # (n,) cells that are likely to be changed or added there
    cells: NDArray[np.float64]  # (n,) 1 for a predicted cell, 0 for a missed one

    @classmethod
    def of(
        cls,
        centroids: Sequence[Sequence[float]],
        wrong: Sequence[float],
        missed: Sequence[Sequence[float]],
    ) -> Doubts:
        """``missed``: (x, y, cells) px."""
        places: list[Any] = [*centroids, *([x, y] for x, y, _ in missed)]
        return cls(
            np.array(places, float).reshape(-1, 2),
            np.array([*wrong, *(count for _, _, count in missed)], float),
            np.array([1.0] * len(centroids) + [0.0] * len(missed)),
        )

    def outside(self, boxes: Sequence[Sequence[int]]) -> Doubts:
        """Without what lies in ``boxes``."""
        keep = (
            ~np.any([_within(self.places, box) for box in boxes], axis=0) if boxes else slice(None)
        )
        return Doubts(self.places[keep], self.wrong[keep], self.cells[keep])


@dataclass(frozen=True)
class Region:
    """A window and what is expected in it; ``box`` is None for the whole image."""

    box: Box | None
    cells: int
    wrong: float
    minutes: float


def best_region(
    shape: tuple[int, int],
    doubts: Doubts,
    effort: Effort,
    minutes: float,
    complete: Sequence[Sequence[int]] = (),
    diameter: float = 30.0,
) -> Region | None:
    """The window of about ``minutes`` of work that puts most cells right per minute.

    ``shape`` (H, W) px. What lies in ``complete`` regions is done. An image of little more work is
    not cut. None when nothing is left to ask.
    """
    left = doubts.outside(complete)
    total = effort.minutes(left.cells.sum(), left.wrong.sum())
    if complete and left.wrong.sum() < _LEFT:
        return None
    if total <= _WHOLE * minutes:
        box = (0, 0, shape[1], shape[0]) if complete else None
        return _region(box, left, effort)
    share = np.sqrt(minutes / total)
    least = max(_LEAST, _LEAST_DIAMETERS * diameter)
    height, width = (min(side, round(max(least, share * side))) for side in shape)
    tried = [
        _region((x, y, x + width, y + height), left, effort)
        for y in _starts(shape[0], height)
        for x in _starts(shape[1], width)
    ]
    return max(tried, key=lambda region: region.wrong / region.minutes)


def _region(box: Box | None, doubts: Doubts, effort: Effort) -> Region:
    inside = _within(doubts.places, box) if box else np.ones(len(doubts.wrong), bool)
    cells, wrong = int(doubts.cells[inside].sum()), float(doubts.wrong[inside].sum())
    return Region(box, cells, wrong, effort.minutes(cells, wrong))


def _within(places: NDArray[np.float64], box: Sequence[int]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = box
    x, y = places[:, 0], places[:, 1]
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def _starts(length: int, side: int) -> list[int]:
    count = max(1, -(-_STEPS * (length - side) // side)) if length > side else 0
    return [round((length - side) * k / count) for k in range(count + 1)] if count else [0]

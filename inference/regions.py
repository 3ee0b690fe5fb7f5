"""Windows of an image worth a few minutes of a person's time. Numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
        centroids: ArrayLike,
        wrong: ArrayLike,
        missed: Sequence[Sequence[float]],
    ) -> Doubts:
        """``centroids`` (n, 2) px of cells, ``wrong`` (n,); ``missed``: (x, y, cells) px."""
        places = np.asarray(centroids, float).reshape(-1, 2)
        spots = np.asarray(missed, float).reshape(-1, 3)
        return cls(
            np.concatenate([places, spots[:, :2]]),
            np.concatenate([np.asarray(wrong, float).ravel(), spots[:, 2]]),
            np.repeat([1.0, 0.0], [len(places), len(spots)]),
        )

    def outside(self, boxes: Sequence[Sequence[int]]) -> Doubts:
        """Without what lies in ``boxes``."""
        keep = np.ones(len(self.places), bool)
        for box in boxes:  # of lists answered for there are thousands: one at a time
            keep &= ~_within(self.places, box)
        return Doubts(self.places[keep], self.wrong[keep], self.cells[keep])


@dataclass(frozen=True)
class Window:
    """What a window should be like: minutes of work, for cells of ``diameter`` px. With a ``lot``
    in [0, 1) chance chooses among those of no few cells.
    """

    minutes: float
    diameter: float = 30.0
    lot: float | None = None


@dataclass(frozen=True)
class Region:
    """A window and what is expected in it; ``box`` is None for the whole image."""

    box: Box | None
    cells: int
    wrong: float
    minutes: float
    missed: float = 0.0  # of ``wrong``, cells that no mask shows

    @property
    def share(self) -> float:
        """Of what is there, predicted or missed, the part that is likely wrong: 0 … 1."""
        return min(1.0, self.wrong / max(1.0, self.cells + self.missed))


def best_region(
    shape: tuple[int, int],
    doubts: Doubts,
    effort: Effort,
    wanted: Window,
    complete: Sequence[Sequence[int]] = (),
) -> Region | None:
    """The window that puts most cells right per minute of work, or one by lot.

    ``shape`` (H, W) px. What lies in ``complete`` regions is done. An image of little more work
    than is ``wanted`` is not cut. None when nothing is left to ask.
    """
    left = doubts.outside(complete)
    total = effort.minutes(left.cells.sum(), left.wrong.sum())
    if complete and left.wrong.sum() < _LEFT:
        return None
    if total <= _WHOLE * wanted.minutes:
        box = (0, 0, shape[1], shape[0]) if complete else None
        return region_of(box, left, effort)
    share = np.sqrt(wanted.minutes / total)
    least = max(_LEAST, _LEAST_DIAMETERS * wanted.diameter)
    height, width = (min(side, round(max(least, share * side))) for side in shape)
    tried = list(_tried(shape, (height, width), left, effort))
    if wanted.lot is None:
        best = max(tried, key=lambda region: region.wrong / region.minutes)
    else:
        # By cells, not by work: that would favour the doubtful ones.
        most = max(region.cells for region in tried)
        open_ones = [region for region in tried if 2 * region.cells >= most]
        best = open_ones[int(wanted.lot * len(open_ones))]
    return region_of(best.box, left, effort)


def _tried(
    shape: tuple[int, int], size: tuple[int, int], doubts: Doubts, effort: Effort
) -> Iterator[Region]:
    """Windows of ``size`` (h, w) all over the image, column by column: a large image has thousands
    of them, and none looks at all its cells.
    """
    height, width = size
    tops = np.array(_starts(shape[0], height))
    for x in _starts(shape[1], width):
        column = np.flatnonzero(_within(doubts.places, (x, 0, x + width, shape[0])))
        column = column[np.argsort(doubts.places[column, 1], kind="stable")]
        y = doubts.places[column, 1]
        ends = np.searchsorted(y, [tops, tops + height])
        sums = [_sums(of[column]) for of in (doubts.cells, doubts.wrong)]
        counts = [upto[ends[1]] - upto[ends[0]] for upto in sums]
        for top, cells, wrong in zip(tops.tolist(), *counts, strict=True):
            box = (x, top, x + width, top + height)
            yield Region(box, round(cells), wrong, effort.minutes(cells, wrong))


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the first 0, 1 … n values: (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(values)])


def region_of(box: Box | None, doubts: Doubts, effort: Effort) -> Region:
    """``box``, or the whole image, and what is expected in it."""
    inside = _within(doubts.places, box) if box else np.ones(len(doubts.wrong), bool)
    cells, wrong = int(doubts.cells[inside].sum()), float(doubts.wrong[inside].sum())
    missed = float(doubts.wrong[inside & (doubts.cells == 0)].sum())
    return Region(box, cells, wrong, effort.minutes(cells, wrong), missed)


def _within(places: NDArray[np.float64], box: Sequence[int]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = box
    x, y = places[:, 0], places[:, 1]
    return (x >= x0) & (x < x1) & (y >= y0) & (y < y1)


def _starts(length: int, side: int) -> list[int]:
    count = max(1, -(-_STEPS * (length - side) // side)) if length > side else 0
    return [round((length - side) * k / count) for k in range(count + 1)] if count else [0]

"""Which cells look unusual, alike or nearly the same, from their vectors. Numpy only.

Vectors are rows (n, d), as of ``inference.embeddings``; a row of NaN is a cell without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.facility_location import squared_distances
from inference.strategies_novelty import NO_DOUBT, standardised

Vectors = NDArray[np.float32]
Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]

# Cells asked about together: one worth an answer, and its nearest neighbours.
TOGETHER = 2
REACH = 3.0  # cell diameters within which another cell is a neighbour
# Nearer than this share of the usual distance two cells are nearly the same picture.
SAME = 0.2
_PAIRS = 2000  # drawn to know the usual distance
_RARER = 0.05  # what a cell's score loses for each chosen cell of its type, as a share


def unusual(vectors: Vectors, groups: NDArray[np.integer]) -> Numbers:
    """How far each cell is from the middle of its group, over the group's mean distance: (n,).

    NaN without a vector. A group of one has nothing to be compared with: 0.
    """
    found = np.full(len(vectors), np.nan)
    known = np.isfinite(vectors).all(axis=1)
    for group in np.unique(groups[known]):
        rows = np.flatnonzero(known & (groups == group))
        apart = np.linalg.norm(vectors[rows] - vectors[rows].mean(axis=0), axis=1)
        found[rows] = apart / max(float(apart.mean()), 1e-12)
    return found


def distances(vectors: Vectors, row: int) -> Numbers:
    """The distance of each cell to the one in ``row``: (n,); NaN where either has no vector."""
    return np.asarray(np.linalg.norm(vectors - vectors[row], axis=1), np.float64)


def measures(areas: Numbers, boxes: Numbers, doubts: Numbers) -> Vectors:
    """Vectors (n, 4) of what is known of any cell: size, length, fill and uncertainty.

    ``doubts`` may have NaN, which counts as the mean. Each number is over its spread.
    """
    if not len(areas):
        return np.zeros((0, 4), np.float32)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    seen = np.stack(
        [
            np.log(np.maximum(areas, 1)),
            np.abs(np.log(sides[:, 0] / sides[:, 1])),
            areas / sides.prod(axis=1),
            np.where(np.isfinite(doubts), doubts, np.nanmean(np.append(doubts, 0.0))),
        ],
        axis=1,
    )
    spread = seen.std(axis=0)
    return np.asarray((seen - seen.mean(axis=0)) / np.where(spread > 0, spread, 1), np.float32)


@dataclass(frozen=True)
class Askable:
    """Cells that may be asked about, in one row each: (n,), and vectors (n, d)."""

    scores: Numbers  # higher is asked first
    images: NDArray[np.integer]
    types: NDArray[np.integer]
    vectors: Vectors
    looks: Vectors | None = None  # (n, e) of each cell and of its image
    answered: Vectors | None = None  # (m, e) of cells that were answered for


def neighbours(places: Numbers, at: Numbers, reach: float, most: int) -> Indices:
    """Up to ``most`` rows of ``places`` (n, 2), x, y px, within ``reach`` px of ``at`` (2,), the
    nearest first.
    """
    apart = np.hypot(places[:, 0] - at[0], places[:, 1] - at[1])
    order = np.argsort(apart, kind="stable")[:most]
    return order[apart[order] <= reach]


class NoTwins:
    """Takes vectors (d,) one by one, but none that is nearly the same picture as one taken."""

    def __init__(self, vectors: Vectors) -> None:
        """``vectors`` (n, d) tell how far apart two usually are."""
        self._least = SAME * _usual_distance(vectors)
        self._taken: list[Vectors] = []

    def take(self, vector: Vectors) -> bool:
        """Whether it was taken. What has no vector is like nothing."""
        if self._least > 0 and self._taken:
            apart = np.linalg.norm(np.array(self._taken) - vector, axis=1)
            if (apart < self._least).any():
                return False
        self._taken.append(vector)
        return True


def choose(cells: Askable, count: int, per_image: int) -> list[int]:
    """Rows of up to ``count`` cells to ask about, the most worth it first.

    With ``looks`` a cell's score counts times its squared distance to the nearest look that was
    answered for or chosen (``strategies_novelty``). At most ``per_image`` of one image and no two
    that are nearly the same picture; a cell of a type that was chosen often must be worth more than
    one of another type.
    """
    usual = _usual_distance(cells.vectors)
    weights = cells.scores.astype(np.float64) + NO_DOUBT
    novelty = _Novelty(cells.looks, cells.answered, len(weights))
    left = np.ones(len(weights), bool)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        worth = np.where(left, weights * novelty.squared, -np.inf)
        row = int(worth.argmax())
        if worth[row] == -np.inf:
            break
        chosen.append(row)
        left[row] = False
        same_image = cells.images == cells.images[row]
        if np.count_nonzero(same_image[chosen]) >= per_image:
            left[same_image] = False
        if usual > 0:
            left[distances(cells.vectors, row) < SAME * usual] = False
        weights[cells.types == cells.types[row]] *= 1 - _RARER
        novelty.choose(row)
    return chosen


class _Novelty:
    """Squared distances to the nearest of what is known (n,); 1 where nothing compares."""

    def __init__(self, looks: Vectors | None, answered: Vectors | None, count: int) -> None:
        self._nearest = np.full(count, np.inf)
        self._looks: Numbers | None = None
        if looks is None or not count:
            return
        known = looks[:0] if answered is None else answered
        table = standardised(np.concatenate([looks, known]))
        self._looks = table[:count]
        self._nearest = _nearest(self._looks, table[count:])

    @property
    def squared(self) -> Numbers:
        return np.where(np.isinf(self._nearest), 1.0, self._nearest)

    def choose(self, row: int) -> None:
        if self._looks is not None:
            self._meet(self._looks[row])

    def _meet(self, look: Numbers) -> None:
        if self._looks is not None:
            self._nearest = np.fmin(self._nearest, np.square(self._looks - look).sum(axis=1))


def _nearest(looks: Numbers, known: Numbers) -> Numbers:
    """Squared distance of each row (n, d) to the nearest of ``known`` (m, d): (n,), inf where
    nothing compares.
    """
    found = np.full(len(looks), np.inf)
    known = known[np.isfinite(known).all(axis=1)]
    rows = np.flatnonzero(np.isfinite(looks).all(axis=1))
    if not len(known) or not len(rows):
        return found
    found[rows] = squared_distances(looks[rows], known).min(axis=1)
    return found


def _usual_distance(vectors: Vectors) -> float:
    """The median distance of pairs drawn at random; 0.0 without vectors."""
    known: Sequence[int] = np.flatnonzero(np.isfinite(vectors).all(axis=1)).tolist()
    if len(known) < 2:
        return 0.0
    pairs = np.random.default_rng(0).choice(known, (_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    apart = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)
    return float(np.median(apart))

"""Which few rows stand for most of all: facility location, chosen greedily. Numpy only.

Each row counts by its weight times how like it is to the nearest one chosen; what adds most to that
sum is next (Wei, Iyer & Bilmes 2015). Unlike the farthest from all others, which is often merely
strange, what comes first lies where much weight is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_NEAR, _LEAST = 50, 10  # one stands for a share of one in so many, but for so many at least
_STOOD_FOR = 2000  # rows that are to be stood for; of more, so many drawn at random
_NOTHING = 1e-6  # of what all weigh together: who adds no more adds nothing
_AT_ONCE = 1000  # rows that are compared together, to take little memory


def standing_for(looks: Floats, known: Floats, weight: Floats, most: int) -> list[int]:
    """Up to ``most`` rows of ``looks`` (n, d), n > 0, the one that stands for most others first.

    What ``known`` (m, d) stands for already counts no more; of equal ones the one of the higher
    ``weight`` (n,), at least 0, comes first. Shorter where the rest would add nothing.

    Two are alike by exp(-d² / s²); within s lie usually a fiftieth of all, ten at least.
    """
    some = _drawn(len(looks))
    alike = _likeness_to(looks[some])
    mass = weight[some] / max(float(weight[some].sum()), 1e-12)
    covered = np.zeros(len(some))
    for rows in _parts(known):
        covered = np.maximum(covered, alike(rows).max(axis=0))
    gains = np.concatenate([np.maximum(alike(rows) - covered, 0) @ mass for rows in _parts(looks)])
    waiting = [_turn(gain, weight, row) for row, gain in enumerate(gains.tolist())]
    heapq.heapify(waiting)
    order: list[int] = []
    while waiting and len(order) < most:
        # What one adds never grows with what is chosen: only the seemingly best is looked at anew
        # (Minoux 1978).
        row = heapq.heappop(waiting)[-1]
        likeness = alike(looks[row : row + 1])[0]
        gain = float(np.maximum(likeness - covered, 0) @ mass)
        turn = _turn(gain, weight, row)
        if waiting and turn > waiting[0]:
            heapq.heappush(waiting, turn)
            continue
        if gain <= _NOTHING:
            break
        order.append(row)
        covered = np.maximum(covered, likeness)
    return order


def _turn(gain: float, weight: Floats, row: int) -> tuple[float, float, int]:
    """Sorts first what adds more; sums that differ by rounding alone are equal."""
    return -round(gain, 9), -float(weight[row]), row


def _parts(rows: Floats) -> Iterator[Floats]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


def _drawn(count: int) -> NDArray[np.intp]:
    """Up to ``_STOOD_FOR`` of so many rows, always the same ones."""
    if count <= _STOOD_FOR:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _STOOD_FOR, replace=False))


def _likeness_to(some: Floats) -> Callable[[Floats], NDArray[np.float64]]:
    """A function of rows (k, d): how like they are to those of ``some`` (m, d), (k, m), 0 … 1."""
    apart = squared_distances(some, some)
    nth = min(len(some) - 1, max(_LEAST, len(some) // _NEAR))
    near = np.partition(apart, nth, axis=1)[:, nth]
    # Of twins all that is near is 0; the scale is that of what is not the same.
    near = near[near > 1e-9 * max(float(apart.max()), 1e-12)]
    scale = float(np.median(near)) if len(near) else 1.0
    return lambda rows: np.exp(-squared_distances(rows, some) / scale)


def squared_distances(one: Floats, other: Floats) -> NDArray[np.float64]:
    """(n, m) of rows (n, d) and (m, d)."""
    lengths = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * one @ other.T, 0.0), np.float64)

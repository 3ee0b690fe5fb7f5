"""Strategies that also know what was answered before: what to ask is what no answer looks like.

``inference.acquisition`` spreads what is asked at one time. These spread it over all rounds: a
greedy core-set (Sener & Savarese 2018) whose centres are the answers there are. Numpy only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.acquisition import GREEDY, STRATEGIES, Candidate, Strategy

Floats = NDArray[np.floating]
NO_DOUBT = 0.02  # weight of what seems to be right: looking unlike all answers, it may not be
_NOISE = 0.1  # of the largest spread of a feature, below which others are not enlarged
_NEAR, _LEAST = 50, 10  # one stands for a share of one in so many, but for so many at least
_STOOD_FOR = 2000  # candidates that are to be stood for; of more, so many drawn at random
_ROUNDING = 1e-5  # by which the same sum in another order may differ
MOST_KNOWN = 2000  # answers compared with, the newest


def novel(candidates: Sequence[Candidate], answered: Sequence[Candidate]) -> list[int]:
    """The farthest from all that was answered or chosen, whatever the models say of it."""
    return farthest(candidates, answered, np.ones(len(candidates)))


def uncertain_novel(candidates: Sequence[Candidate], answered: Sequence[Candidate]) -> list[int]:
    """Uncertain ones that look like nothing that was answered or chosen."""
    doubt = np.array([each.uncertainty or 0.0 for each in candidates])
    return farthest(candidates, answered, doubt + NO_DOUBT)


def value_novel(candidates: Sequence[Candidate], answered: Sequence[Candidate]) -> list[int]:
    """Most cells put right per minute, among what looks like nothing answered or chosen."""
    gain = np.array([each.wrong / max(each.minutes, 1e-3) for each in candidates])
    return farthest(candidates, answered, gain / max(gain.max(initial=0.0), 1e-9) + NO_DOUBT)


def representative(candidates: Sequence[Candidate], answered: Sequence[Candidate]) -> list[int]:
    """What stands for most others that look like nothing answered or chosen."""
    return covering(candidates, answered, np.ones(len(candidates)))


def uncertain_representative(
    candidates: Sequence[Candidate], answered: Sequence[Candidate]
) -> list[int]:
    """What stands for most uncertain others that look like nothing answered or chosen.

    Of what an other counts, half on average is its uncertainty; the rest is the same for all.
    """
    doubt = np.array([each.uncertainty or 0.0 for each in candidates])
    return covering(
        candidates, answered, doubt + max(float(doubt.mean()) if doubt.size else 0.0, NO_DOUBT)
    )


Novelty = Callable[[Sequence[Candidate], Sequence[Candidate]], list[int]]
NOVELTY: dict[str, Novelty] = {
    "novel": novel,
    "uncertain-novel": uncertain_novel,
    "value-novel": value_novel,
    "representative": representative,
    "uncertain-representative": uncertain_representative,
}


Choosing = Strategy | Novelty
# Every way in which what is asked next can be chosen, by name.
EVERY: dict[str, Choosing] = {**STRATEGIES, **NOVELTY}


def farthest(
    candidates: Sequence[Candidate], answered: Sequence[Candidate], weight: Floats
) -> list[int]:
    """Rows of the candidates in the order of a greedy choice by weight times squared distance to
    the nearest answer, or candidate chosen before; by weight alone where nothing has features.
    """
    looks = _features([*candidates, *answered[-MOST_KNOWN:]])
    count = len(candidates)
    if looks is None or not count:
        return _completed([], weight)
    mine, known = looks[:count], looks[count:]
    nearest = np.full(count, np.inf)
    for each in known:
        nearest = np.minimum(nearest, np.square(mine - each).sum(axis=1))
    order: list[int] = []
    for _ in range(min(GREEDY, count)):
        gain = weight * np.where(np.isinf(nearest), 1.0, nearest)
        gain[order] = -1.0
        best = int(gain.argmax())
        order.append(best)
        nearest = np.minimum(nearest, np.square(mine - mine[best]).sum(axis=1))
    return _completed(order, weight)


def covering(
    candidates: Sequence[Candidate], answered: Sequence[Candidate], weight: Floats
) -> list[int]:
    """Rows of the candidates in the order of a greedy choice by facility location (e.g. Wei, Iyer &
    Bilmes 2015): each candidate counts by ``weight`` times how like it is to the nearest answer or
    choice, and what adds most to that sum is next.

    Two are alike by exp(-d² / s²), s the distance within which usually a fiftieth of all lies.
    """
    looks = _features([*candidates, *answered[-MOST_KNOWN:]])
    count = len(candidates)
    if looks is None or not count:
        return _completed([], weight)
    looks = np.nan_to_num(looks)  # what has no look is as usual as can be
    stood_for = _some(count)
    alike = _alikeness(looks[stood_for], max(_LEAST, len(stood_for) // _NEAR))
    mass = weight[stood_for].astype(np.float32)
    covered = np.zeros(len(stood_for), np.float32)
    for rows in _parts(looks[count:]):
        covered = np.maximum(covered, alike(rows).max(axis=0))
    parts = [np.maximum(alike(rows) - covered, 0.0) @ mass for rows in _parts(looks[:count])]
    # What a candidate adds never grows with what is chosen: only the seemingly best is looked at
    # anew (Minoux 1978).
    waiting = [(-gain, row) for row, gain in enumerate(np.concatenate(parts).tolist())]
    heapq.heapify(waiting)
    order: list[int] = []
    while waiting and len(order) < GREEDY:
        _, row = heapq.heappop(waiting)
        likeness = alike(looks[row : row + 1])[0]
        gain = float(np.maximum(likeness - covered, 0.0) @ mass)
        if waiting and -gain > waiting[0][0] + _ROUNDING:
            heapq.heappush(waiting, (-gain, row))
            continue
        order.append(row)
        covered = np.maximum(covered, likeness)
    return _completed(order, weight)


def _completed(order: list[int], weight: Floats) -> list[int]:
    """``order`` with the rows that are not in it, by their weight."""
    chosen = set(order)
    return order + [row for row in np.argsort(-weight, kind="stable").tolist() if row not in chosen]


def _parts(rows: Floats) -> Iterator[Floats]:
    """So many at a time that what is made of them takes little memory."""
    for start in range(0, len(rows), 1000):
        yield rows[start : start + 1000]


def _some(count: int) -> NDArray[np.intp]:
    """Up to ``_STOOD_FOR`` of so many rows, always the same ones."""
    if count <= _STOOD_FOR:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _STOOD_FOR, replace=False))


def _alikeness(some: Floats, nth: int) -> Callable[[Floats], Floats]:
    """How like rows (k, d) are to those of ``some`` (m, d): a function that gives (k, m), 0 … 1.

    The scale is the median, over ``some``, of the distance to the nth nearest of ``some``.
    """
    apart = _squared_distances(some, some)
    nth = min(len(some) - 1, nth)
    scale = max(float(np.median(np.partition(apart, nth, axis=1)[:, nth])), 1e-9)
    return lambda rows: np.exp(-_squared_distances(rows, some) / scale).astype(np.float32)


def _squared_distances(one: Floats, other: Floats) -> Floats:
    """(n, m) of rows (n, d) and (m, d)."""
    lengths = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * one @ other.T, 0.0))


def _features(candidates: Sequence[Candidate]) -> Floats | None:
    """(n, d), columns of like spread; None unless all have features of one size."""
    looks = [each.features for each in candidates if each.features is not None]
    if len(looks) < len(candidates) or len({look.shape for look in looks}) != 1:
        return None
    return standardised(np.stack(looks))


def standardised(table: Floats) -> NDArray[np.float64]:
    """(n, d) with columns of like spread; rows with a NaN stay NaN and do not count."""
    known = np.isfinite(table).all(axis=1)
    seen = np.asarray(table, np.float64)[known]
    if not len(seen):
        return np.full(table.shape, np.nan)
    spread = seen.std(axis=0)
    floor = max(_NOISE * float(spread.max(initial=0.0)), 1e-6)  # as in ``inference.acquisition``
    found = np.full(table.shape, np.nan)
    found[known] = (seen - seen.mean(axis=0)) / np.maximum(spread, floor)
    return found

"""Strategies that also know what was answered before: what to ask is what no answer looks like.

``inference.acquisition`` spreads what is asked at one time. These spread it over all rounds: a
greedy core-set (Sener & Savarese 2018) whose centres are the answers there are, or what stands for
most others that these do not (``facility_location``). Numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.acquisition import GREEDY, STRATEGIES, Candidate, Strategy, completed, features_of
from inference.facility_location import standing_for

Floats = NDArray[np.floating]
NO_DOUBT = 0.02  # weight of what seems to be right: looking unlike all answers, it may not be
_NOISE = 0.1  # of the largest spread of a feature, below which others are not enlarged
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
    """What stands for many others that look like nothing answered or chosen."""
    return covering(candidates, answered, np.ones(len(candidates)))


def uncertain_representative(
    candidates: Sequence[Candidate], answered: Sequence[Candidate]
) -> list[int]:
    """What stands for many others that are uncertain and look like nothing answered or chosen.

    Of what another counts, half on average is its uncertainty; the rest is the same for all.
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
        return completed([], weight)
    mine, known = _told_apart(looks, count)
    nearest = np.full(count, np.inf)
    for each in known:
        nearest = np.minimum(nearest, np.square(mine - each).sum(axis=1))
    order: list[int] = []
    for _ in range(min(GREEDY, count)):
        gain = weight * np.where(np.isinf(nearest), 1.0, nearest)
        gain[order] = -1.0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break  # all that is left looks exactly like what was answered
        order.append(best)
        nearest = np.minimum(nearest, np.square(mine - mine[best]).sum(axis=1))
    return completed(order, weight)


def covering(
    candidates: Sequence[Candidate], answered: Sequence[Candidate], weight: Floats
) -> list[int]:
    """Rows of the candidates, first those that stand for most others that no answer looks like
    (``facility_location``), then the rest by ``weight``; by weight alone where nothing has
    features.
    """
    looks = _features([*candidates, *answered[-MOST_KNOWN:]])
    count = len(candidates)
    if looks is None or not count:
        return completed([], weight)
    mine, known = _told_apart(looks, count)
    return completed(standing_for(mine, known, weight, GREEDY), weight)


def _told_apart(looks: Floats, count: int) -> tuple[Floats, Floats]:
    """Looks of so many candidates, and of the answers after them. A candidate without one is as
    usual as can be; an answer without one does not count.
    """
    answers = looks[count:]
    return np.nan_to_num(looks[:count]), answers[np.isfinite(answers).all(axis=1)]


def _features(candidates: Sequence[Candidate]) -> Floats | None:
    """(n, d), columns of like spread, NaN without a look; None where nobody has one."""
    table = features_of(candidates)
    return None if table is None else standardised(table)


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

"""Which image, region or cell to ask about next: strategies by name, one small function each.

A strategy gives every candidate a score; the highest is the most worth a person's minutes. Those
that look at one candidate at a time give 0 … 1 where they can; those that choose one after the
other, each in view of those before, give 1 for the first down to 0. Numpy only.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

GREEDY = 200  # candidates chosen one after the other; the rest follow by their own score
ALIKE = 0.05  # of the median distance of candidates: nearer ones are near-duplicates
_NOISE = 0.1  # of the largest spread of a feature, below which others are not enlarged
_MIXED_SHARE = 0.5  # of what is asked, from mixed cultures, where there are both


@dataclass(frozen=True, eq=False)
class Candidate:
    """What may be asked about. Before its first prediction ``uncertainty`` is None."""

    id: int
    uncertainty: float | None = None  # 0 … 1, the share that is likely wrong
    cells: int = 0
    wrong: float = 0.0  # cells that are likely to be changed or added
    minutes: float = 1.0  # that answering is expected to take
    committee: float = 0.0  # 0 … 1, what the two models disagree on
    views: float = 0.0  # 0 … 1, what mirrored views disagree on (BALD)
    features: NDArray[np.float32] | None = field(default=None, repr=False)  # (d,): how it looks
    types: Mapping[str, float] = field(default_factory=dict)  # cells expected of each type
    batch: str = ""
    mixed: bool = False


Candidates = Sequence[Candidate]
Strategy = Callable[[Candidates, np.random.Generator], Scores]
STRATEGIES: dict[str, Strategy] = {}


def strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Register a strategy under ``name``; its docstring's first line is shown to people."""

    def register(function: Strategy) -> Strategy:
        STRATEGIES[name] = function
        return function

    return register


def score(name: str, candidates: Candidates, seed: int = 0) -> Scores:
    """Scores (n,) of the candidates by the strategy ``name``; ``ValueError`` if there is none."""
    if name not in STRATEGIES:
        known = ", ".join(sorted(STRATEGIES))
        raise ValueError(f"There is no acquisition strategy {name}; choose one of {known}.")
    if not candidates:
        return np.zeros(0)
    return np.asarray(STRATEGIES[name](candidates, np.random.default_rng(seed)), float)


def rank(name: str, candidates: Candidates, seed: int = 0) -> list[tuple[int, float]]:
    """(candidate id, score), the most informative first; ties keep the given order.

    Near-duplicates of one that comes before wait until all others have had their turn.
    """
    scores = score(name, candidates, seed)
    order = np.argsort(-scores, kind="stable")
    waiting = near_duplicates([candidates[index] for index in order])
    order = np.concatenate([order[~waiting], order[waiting]])
    return [(candidates[index].id, float(scores[index])) for index in order]


@strategy("random")
def random(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Any of them: the baseline, and the only fair way to build a test set."""
    return rng.random(len(candidates))


@strategy("uncertainty")
def uncertainty(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """What the models are least sure of (Lewis & Gale 1994); unpredicted ones come last."""
    return np.array([_doubt(each) for each in candidates])


@strategy("value")
def value(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """The most cells put right per minute of work."""
    gain = np.array([each.wrong / max(each.minutes, 1e-3) for each in candidates])
    return gain / (1 + gain)


@strategy("committee")
def committee(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """What the two models disagree on most (query by committee; Seung et al. 1992)."""
    return np.array([each.committee for each in candidates])


@strategy("bald")
def bald(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Where views of the same cells disagree on their types most (BALD; Houlsby et al. 2011)."""
    return np.array([each.views for each in candidates])


@strategy("diverse")
def diverse(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Each as unlike those before as can be, whatever the models say (core-set; Sener 2018)."""
    return by_turn(_farthest(candidates, np.ones(len(candidates))))


@strategy("uncertain-diverse")
def uncertain_diverse(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Uncertain ones that differ from those before: k-means++ weighted by uncertainty."""
    weight = np.array([_doubt(each) for each in candidates]) + 1e-6
    return by_turn(_farthest(candidates, weight))


@strategy("balanced")
def balanced(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Types that are rare, and batches that were asked least, come first; then uncertainty."""
    names = sorted({name for each in candidates for name in each.types})
    expected = np.array([[each.types.get(name, 0.0) for name in names] for each in candidates])
    expected = expected.reshape(len(candidates), len(names))
    # A type counts for the more the fewer of its cells there are among all candidates.
    rarity = (expected / np.maximum(expected.sum(axis=0), 1e-9)).sum(axis=1)
    doubt = np.array([_doubt(each) for each in candidates])
    worth = rarity / max(rarity.max(initial=0), 1e-9) + doubt
    return by_turn(_in_turns(candidates, worth, [each.batch for each in candidates]))


@strategy("mixed-quota")
def mixed_quota(candidates: Candidates, rng: np.random.Generator) -> Scores:
    """Half of the asks from mixed cultures, where there are both, by uncertainty within each."""
    doubt = np.array([_doubt(each) for each in candidates])
    sides = [
        deque(
            sorted(
                (row for row, each in enumerate(candidates) if each.mixed == mixed),
                key=lambda row: -doubt[row],
            )
        )
        for mixed in (True, False)
    ]
    order: list[int] = []
    asked = 0  # of them from mixed cultures: counted as they come, for there may be many
    while any(sides):
        wanted = 0 if asked <= _MIXED_SHARE * len(order) else 1
        row = (sides[wanted] or sides[1 - wanted]).popleft()
        order.append(row)
        asked += candidates[row].mixed
    return by_turn(order)


def near_duplicates(ordered: Candidates) -> NDArray[np.bool_]:
    """Which of (n,) look like one that comes before, among the first ``GREEDY``."""
    found = np.zeros(len(ordered), bool)
    looks = _features(ordered[:GREEDY])
    if looks is None or len(looks) < 3:
        return found
    apart = np.linalg.norm(looks[:, None] - looks[None], axis=2)
    pairs = apart[np.triu_indices(len(looks), 1)]
    near = ALIKE * np.median(pairs[np.isfinite(pairs)]) if np.isfinite(pairs).any() else 0.0
    for row in range(1, len(looks)):
        found[row] = bool((apart[row, :row][~found[:row]] < near).any())
    return found


def _doubt(candidate: Candidate) -> float:
    return candidate.uncertainty if candidate.uncertainty is not None else 0.0


def features_of(candidates: Candidates) -> NDArray[np.float32] | None:
    """(n, d), NaN in the rows of those without features, or with features of another size than
    most: a model of an older release has seen them. None where nobody has any.
    """
    sizes = Counter(each.features.size for each in candidates if each.features is not None)
    if not sizes:
        return None
    size = sizes.most_common(1)[0][0]
    nothing = np.full(size, np.nan, np.float32)
    looks = (
        nothing if each.features is None or each.features.size != size else each.features
        for each in candidates
    )
    return np.stack([np.asarray(look, np.float32) for look in looks])


def _features(candidates: Candidates) -> NDArray[np.float32] | None:
    """``features_of``, columns of like spread."""
    table = features_of(candidates)
    if table is None or not np.isfinite(table).all(axis=1).any():
        return None
    known = table[np.isfinite(table).all(axis=1)]
    spread = known.std(axis=0)
    # What hardly varies is noise, and would count as much as what does.
    floor = max(_NOISE * float(spread.max(initial=0)), 1e-6)
    return (table - known.mean(axis=0)) / np.maximum(spread, floor)


def _farthest(candidates: Candidates, weight: Scores) -> list[int]:
    """Rows in the order of a greedy choice by weight times squared distance to those before."""
    looks = _features(candidates)
    if looks is None:
        return np.argsort(-weight, kind="stable").tolist()
    looks = np.nan_to_num(looks)  # what has no look is as usual as can be
    order = [int(weight.argmax())]
    nearest = np.square(looks - looks[order[0]]).sum(axis=1)
    for _ in range(min(GREEDY, len(candidates)) - 1):
        gain = weight * nearest
        gain[order] = -1
        best = int(gain.argmax())
        order.append(best)
        nearest = np.minimum(nearest, np.square(looks - looks[best]).sum(axis=1))
    return completed(order, weight)


def completed(order: list[int], weight: Scores) -> list[int]:
    """``order`` and after it the rows that are not in it, by their weight."""
    chosen = set(order)
    return order + [row for row in np.argsort(-weight, kind="stable").tolist() if row not in chosen]


def _in_turns(candidates: Candidates, worth: Scores, groups: Sequence[str]) -> list[int]:
    """Rows by worth, the groups taking turns: each one's best, then each one's second …"""
    seen: dict[str, int] = {}
    turn = np.zeros(len(candidates))
    for row in np.argsort(-worth, kind="stable").tolist():
        turn[row] = seen.get(groups[row], 0)
        seen[groups[row]] = int(turn[row]) + 1
    return np.lexsort((-worth, turn)).tolist()


def by_turn(order: Sequence[int]) -> Scores:
    """1 for the first row of ``order`` (n,), evenly down towards 0."""
    scores = np.zeros(len(order))
    scores[np.asarray(order, int)] = 1 - np.arange(len(order)) / max(1, len(order))
    return scores

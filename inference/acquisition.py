"""Which image to show next: strategies by name, one small function each. Numpy only.

A strategy gives every candidate a score, 0 … 1; the highest is the most worth a person's minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """An image that may be queued; ``uncertainty`` is None before its first prediction."""

    id: int
    uncertainty: float | None = None
    cells: int = 0


Strategy = Callable[[Sequence[Candidate], np.random.Generator], Scores]
STRATEGIES: dict[str, Strategy] = {}


def strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Register a strategy under ``name``."""

    def register(function: Strategy) -> Strategy:
        STRATEGIES[name] = function
        return function

    return register


@strategy("random")
def random(candidates: Sequence[Candidate], rng: np.random.Generator) -> Scores:
    """Any image: the baseline, and the only fair way to build a test set."""
    return rng.random(len(candidates))


@strategy("uncertainty")
def uncertainty(candidates: Sequence[Candidate], rng: np.random.Generator) -> Scores:
    """The image its models are least sure of (Lewis & Gale 1994); unpredicted ones come last."""
    return np.array([c.uncertainty if c.uncertainty is not None else 0.0 for c in candidates])


def score(name: str, candidates: Sequence[Candidate], seed: int = 0) -> Scores:
    """Scores (n,) of the candidates by the strategy ``name``; ``ValueError`` if there is none."""
    if name not in STRATEGIES:
        known = ", ".join(sorted(STRATEGIES))
        raise ValueError(f"There is no acquisition strategy {name}; choose one of {known}.")
    return STRATEGIES[name](candidates, np.random.default_rng(seed))


def rank(name: str, candidates: Sequence[Candidate], seed: int = 0) -> list[tuple[int, float]]:
    """(candidate id, score), the most informative first; ties keep the given order."""
    scores = score(name, candidates, seed)
    order = np.argsort(-scores, kind="stable")
    return [(candidates[index].id, float(scores[index])) for index in order]

"""How long an answer takes: minutes by what there is to look at and to change. Numpy only.

Seconds are a sum of so much for opening an image, for each cell looked at and for each change,
fitted on the times that the annotators of a data set took, with a prior that a dozen answers
outweigh. Robust: an answer that took far longer than expected (a phone call) counts less (Huber
1964).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

_ROUNDS = 10
_ANSWERS = 6.0  # that the prior weighs
_SCATTER = 0.5  # of what is expected, by which answers usually differ
_HUBER = 1.5  # scatters from which an answer counts less


@dataclass(frozen=True)
class Effort:
    """Seconds per image opened, per cell looked at, per cell changed."""

    opening: float = 8.0
    looking: float = 0.5
    changing: float = 6.0

    def minutes(self, cells: float, changed: float) -> float:
        """Expected minutes for one answer."""
        return (self.opening + self.looking * cells + self.changing * changed) / 60


USUAL = Effort()


def fit_effort(answers: Sequence[tuple[float, float, float]]) -> Effort:
    """Of (cells, changed cells, seconds) of past answers; the usual one without any."""
    if not answers:
        return USUAL
    table = np.asarray(answers, float)
    seen = np.column_stack([np.ones(len(table)), table[:, 0], table[:, 1]])
    taken = table[:, 2]
    usual = np.array([USUAL.opening, USUAL.looking, USUAL.changing])
    # Everything in units of what was expected: a long answer may be further off than a short one.
    prior = np.diag(np.sqrt(_ANSWERS) / usual)
    weights, trust = usual, np.ones(len(table))
    for _ in range(_ROUNDS):
        expected = np.maximum(seen @ weights, 1.0)
        off = np.abs(taken - expected) / (_SCATTER * expected)
        trust = np.minimum(1.0, _HUBER / np.maximum(off, 1e-9))
        scale = np.sqrt(trust) / (_SCATTER * expected)
        left = np.vstack([seen * scale[:, None], prior])
        right = np.concatenate([taken * scale, prior @ usual])
        weights = lsq_linear(left, right, bounds=(0.05 * usual, np.inf)).x
    return Effort(*(float(each) for each in weights))

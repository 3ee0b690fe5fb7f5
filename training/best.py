"""Which epoch's weights a training keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Best:
    """The epoch that is kept, and the highest score so far, by which later ones are measured.

    Validation images are few, and their scores jump by more than epochs differ: the highest of many
    such jumps is a lucky epoch, mostly an early one, while the falling learning rate makes the late
    ones better. So an epoch takes the kept one's place as soon as it cannot be told from the one
    with the highest score: unless it is lower by more than one standard error of the mean
    difference between the two over the parts of the validation (Breiman et al., "Classification and
    Regression Trees" (1984), take the simplest tree by the same rule; here it is the latest epoch).
    """

    epoch: int = 0  # 0: none yet
    progress: float = 0.0  # of the run, 0 … 1, at which the kept epoch ended
    score: float = -math.inf  # the highest
    parts: tuple[float, ...] = ()  # what made up that one

    def takes(self, epoch: int, progress: float, score: float, parts: tuple[float, ...]) -> bool:
        """Whether ``epoch`` is kept from now on. ``parts``: scores of single images or crops, the
        same ones after each epoch; without any the highest score is kept.
        """
        kept = not self.epoch or score > self.score - self._noise(parts)
        if kept:
            self.epoch, self.progress = epoch, progress
        if score > self.score:
            self.score, self.parts = score, parts
        return kept

    def _noise(self, parts: tuple[float, ...]) -> float:
        if len(parts) < 2 or len(parts) != len(self.parts):
            return 0.0
        differences = np.subtract(parts, self.parts)
        return float(differences.std(ddof=1) / math.sqrt(len(parts)))

    def to_state(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return {
            "best_epoch": self.epoch,
            "best_progress": self.progress,
            "best_score": self.score,
            "best_parts": list(self.parts),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], progress: float) -> Best:
        """Of a checkpoint at ``progress``; older releases did not say all of it."""
        share = state["best_epoch"] / max(1, state["epoch"])
        return cls(
            state["best_epoch"],
            state.get("best_progress", share * progress),
            state["best_score"],
            tuple(state.get("best_parts", ())),
        )

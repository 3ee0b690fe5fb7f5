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

    kept: int = 0  # epoch; 0: none yet
    kept_progress: float = 0.0  # of the run, 0 … 1, at which the kept epoch ended
    highest: float = -math.inf  # score of any epoch
    highest_parts: tuple[float, ...] = ()  # what made up that one

    def offer(self, epoch: int, progress: float, score: float, parts: tuple[float, ...]) -> bool:
        """Take ``epoch`` in; whether it is kept from now on.

        ``parts``: what single images or crops add to ``score``, their mean, the same ones after
        each epoch. With fewer than two, no epoch with a lower score than another's is kept.
        """
        keeps = not self.kept or score >= self.highest - self._noise(parts)
        if keeps:
            self.kept, self.kept_progress = epoch, progress
        if score > self.highest:
            self.highest, self.highest_parts = score, parts
        return keeps

    def _noise(self, parts: tuple[float, ...]) -> float:
        if len(parts) < 2 or len(parts) != len(self.highest_parts):
            return 0.0
        differences = np.subtract(parts, self.highest_parts)
        return float(differences.std(ddof=1) / math.sqrt(len(parts)))

    def to_state(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return {
            "best_epoch": self.kept,
            "best_progress": self.kept_progress,
            "best_score": self.highest,
            "best_parts": list(self.highest_parts),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], progress: float) -> Best:
        """Of a checkpoint at ``progress``. Those of older releases lack the parts: then an epoch
        with a lower score than the highest is not kept.
        """
        share = state["best_epoch"] / max(1, state["epoch"])
        return cls(
            state["best_epoch"],
            state.get("best_progress", share * progress),
            state["best_score"],
            tuple(state.get("best_parts", ())),
        )

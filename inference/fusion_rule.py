"""What becomes of cells that two models see differently: whose borders, and which lone cells stay.

A rule is fitted on validation images (``training.fusion_fit``). Until there are any, masks are the
segmenter's, all of its cells stay, and a cell that only the detector sees must be a sure one.
Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference.uncertainty import Sight, existence_score

BOTH, SEGMENTER, DETECTOR = "both", "segmenter", "detector"
SURE = 0.5  # detector's score from which a detection counts as a cell where no rule was fitted
_CLIP = 1e-4  # scores are this far from 0 and 1 at least


@dataclass(frozen=True)
class Curve:
    """Chance that a cell is there, of its score: a logistic curve of the score's logit.

    Platt, "Probabilistic outputs for support vector machines" (1999).
    """

    slope: float
    offset: float

    def __call__(self, score: float) -> float:
        """``score`` and the chance are 0 … 1."""
        return float(1 / (1 + np.exp(-(self.slope * logit(score) + self.offset))))


def logit(score: Any) -> Any:
    """log(p / (1 − p)) of scores 0 … 1, finite at both ends."""
    p = np.clip(score, _CLIP, 1 - _CLIP)
    return np.log(p / (1 - p))


@dataclass(frozen=True)
class FusionRule:
    """How a segmenter's and a detector's cells become one label image.

    ``borders`` names the model whose masks are taken for cells both see; ``least`` is the chance
    from which a cell of one model alone stays; the curves make chances of scores, None where too
    few validation cells were seen.
    """

    borders: str = SEGMENTER
    least: float = 0.5
    both: Curve | None = None
    segmenter: Curve | None = None
    detector: Curve | None = None

    def chance(self, cell: Sight) -> float:
        """The chance, 0 … 1, that ``cell`` is there."""
        score = existence_score(cell)
        curve: Curve | None = getattr(self, seen_by(cell)) if cell.committee else None
        return score if curve is None else curve(score)

    def keeps(self, cell: Sight) -> bool:
        """Whether ``cell`` is part of the label image."""
        seen = seen_by(cell)
        if seen == BOTH or not cell.committee:
            return True
        if getattr(self, seen) is not None:
            return self.chance(cell) >= self.least
        return seen == SEGMENTER or (cell.detector_score or 0.0) >= SURE

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FusionRule:
        """What ``to_dict`` gave."""
        curves = {
            name: Curve(**document[name]) if document.get(name) else None
            for name in (BOTH, SEGMENTER, DETECTOR)
        }
        return cls(borders=document["borders"], least=document["least"], **curves)


UNFITTED = FusionRule()


def seen_by(cell: Sight) -> str:
    """``both``, ``segmenter`` or ``detector``."""
    if cell.segmenter_score is None:
        return DETECTOR
    return SEGMENTER if cell.detector_score is None else BOTH

"""What becomes of cells that two models see differently: whose borders, and which drawings stay.

A rule is fitted on validation images (``training.fusion_fit``). Until there are any, masks are the
segmenter's, all of its cells stay, and a cell that only the detector sees must be a sure one.
Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.doubt import USUAL, DoubtRule
from inference.uncertainty import Sight, existence_score

BOTH, SEGMENTER, DETECTOR = "both", "segmenter", "detector"
LIKELIER = "likelier"  # whose drawing has the higher chance, cell by cell
FREE = 0.6  # share of the smaller of two drawings that must be free of the other, or they clash
SURE = 0.5  # detector's score from which a detection counts as a cell where no rule was fitted
_CLIP = 1e-4  # scores are this far from 0 and 1 at least
_UNSEEN = 1e-3  # worth of a sure detection where no rule was fitted: less than any segmented cell


@dataclass(frozen=True)
class Curve:
    """Chance that a drawing is a cell: a logistic curve of its ``evidence``.

    Platt, "Probabilistic outputs for support vector machines" (1999), with more than one score.
    """

    own: float  # weight of the logit of the score of the model that drew it
    agreement: float  # weight of the IoU with the other model's drawing
    other: float  # weight of what else the other model says there
    offset: float

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Chances (…,), 0 … 1, of ``evidence`` (…, 3)."""
        z = evidence @ np.array([self.own, self.agreement, self.other]) + self.offset
        return np.asarray(1 / (1 + np.exp(-z)))


def evidence(cell: Sight) -> NDArray[np.float64]:
    """(3,): the logit of the score of the model that drew it; the IoU with the other's drawing (0
    without one); the detector's score of a segmented cell (0 unseen), the segmenter's mean
    probability in a detected one.
    """
    drawn = cell.drawn_by == DETECTOR
    own = cell.detector_score if drawn else cell.segmenter_score
    other = cell.foreground if drawn else cell.detector_score
    return np.array([logit(own or 0.0), cell.iou or 0.0, other or 0.0])


def logit(score: Any) -> Any:
    """log(p / (1 − p)) of scores 0 … 1, finite at both ends."""
    p = np.clip(score, _CLIP, 1 - _CLIP)
    return np.log(p / (1 - p))


@dataclass(frozen=True)
class FusionRule:
    """How a segmenter's and a detector's drawings become one label image.

    ``borders`` names the model whose masks are taken for cells on which both agree, or says that
    the likelier of the two drawings is; ``least`` is
    the chance from which a drawing pays; the curves make chances of what both models say of a
    segmenter's and of a detector's drawing, None where no drawing of validation images was judged.
    """

    borders: str = SEGMENTER
    least: float = 0.5
    segmenter: Curve | None = None
    detector: Curve | None = None
    doubt: DoubtRule = USUAL

    def chance(self, cell: Sight) -> float:
        """The chance, 0 … 1, that ``cell`` is there as it is drawn."""
        curve: Curve | None = getattr(self, cell.drawn_by) if cell.committee else None
        return existence_score(cell) if curve is None else float(curve(evidence(cell)))

    def worth(self, cell: Sight, chance: float | None = None) -> float:
        """What choosing a drawing is worth, positive where it pays: its chance over ``least``.

        ``chance`` saves asking ``self.chance`` again.
        """
        if getattr(self, cell.drawn_by) is not None:
            return (self.chance(cell) if chance is None else chance) - self.least
        if cell.drawn_by == SEGMENTER:
            return 1.0
        return _UNSEEN if (cell.detector_score or 0.0) >= SURE else -1.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FusionRule:
        """What ``to_dict`` gave."""
        curves = {
            name: Curve(**document[name]) if document.get(name) else None
            for name in (SEGMENTER, DETECTOR)
        }
        told = document.get("doubt")  # not in rules of older releases
        doubt = DoubtRule.from_dict(told) if told else USUAL
        return cls(document["borders"], document["least"], **curves, doubt=doubt)


UNFITTED = FusionRule()


def seen_by(cell: Sight) -> str:
    """``both``, ``segmenter`` or ``detector``."""
    if cell.segmenter_score is None:
        return DETECTOR
    return SEGMENTER if cell.detector_score is None else BOTH

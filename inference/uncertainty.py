"""How unsure the models are of each cell and of each image, and why, in words. Numpy only.

Three terms per cell, each 0 (sure) … 1:

* existence: 1 − |2p − 1| for p = the chance that the cell is there at all. Where both models see
  it, p = 1 − (1 − s)(1 − d) of their scores; where one alone does, its score is halved, for the
  other's silence is half of the evidence. Where a ``FusionRule`` was fitted on validation images,
  p is its calibrated chance.
* border: 1 − IoU of the two models' masks (0 where only one model drew it).
* type: the entropy of the type probabilities over its maximum, log T.

Combined as independent grounds for doubt (noisy or): 1 − Π (1 − wᵢ tᵢ). An image's uncertainty is
the root mean square over its cells, so a few hopeless cells count more than a general haze. An
image in which nothing was found counts as quite uncertain, since images are taken of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WEIGHTS = {"existence": 0.9, "border": 0.7, "type": 0.9}
DOUBTFUL = {"existence": 0.5, "border": 0.4, "type": 0.7}  # from which a term is told in words
NOTHING_FOUND = 0.75


@dataclass(frozen=True)
class Sight:
    """What two models say of one cell. A score is None where that model does not see the cell."""

    segmenter_score: float | None
    detector_score: float | None
    iou: float | None
    probabilities: Sequence[float]
    committee: bool  # whether a detector was asked at all
    # Whose mask it is, "segmenter" or "detector"; the other's score is that of its own drawing.
    drawn_by: str = "segmenter"
    # The segmenter's mean probability in a mask of the detector's.
    foreground: float | None = None


def existence_score(cell: Sight) -> float:
    """The chance p, 0 … 1, that the cell is there."""
    if cell.segmenter_score is not None and cell.detector_score is not None:
        return 1 - (1 - cell.segmenter_score) * (1 - cell.detector_score)
    alone = cell.segmenter_score if cell.detector_score is None else cell.detector_score
    return (alone or 0.0) * (0.5 if cell.committee else 1.0)


def cell_terms(cell: Sight, chance: float | None = None) -> dict[str, float]:
    """The terms "existence", "border", "type", 0 … 1 each.

    ``chance`` that the cell is there, 0 … 1, is ``existence_score`` where nobody knows better.
    """
    p = existence_score(cell) if chance is None else chance
    return {
        "existence": 1 - abs(2 * p - 1),
        "border": 0.0 if cell.iou is None else 1 - cell.iou,
        "type": normalised_entropy(cell.probabilities),
    }


def normalised_entropy(probabilities: Sequence[float]) -> float:
    """Entropy over its maximum: 0 for one certain type, 1 for a tie; 0 for fewer than two types."""
    p = np.asarray(probabilities, float)
    if p.size < 2:
        return 0.0
    p = p[p > 0]
    return float(np.clip(-(p * np.log(p)).sum() / np.log(len(probabilities)), 0, 1))


def combined(terms: Mapping[str, float]) -> float:
    """One number per cell, 0 … 1: independent grounds for doubt."""
    sure = 1.0
    for name, weight in WEIGHTS.items():
        sure *= 1 - weight * terms[name]
    return float(1 - sure)


def image_uncertainty(cells: Sequence[float]) -> float:
    """Root mean square of the cells' uncertainties, 0 … 1."""
    if not len(cells):
        return NOTHING_FOUND
    return float(np.sqrt(np.mean(np.square(cells))))


def reasons(
    terms: Sequence[Mapping[str, float]], seen_by: Sequence[str], committee: bool
) -> list[dict[str, Any]]:
    """[{"code", "text", "value"}] with ``value`` the number of cells concerned, most first.

    A cell that one of two models alone sees is told as that, not as one of doubtful existence.
    """
    if not terms:
        return [{"code": "empty", "text": "no cell was found", "value": 0}]
    counts = dict.fromkeys(_TEXTS, 0)
    for cell, seen in zip(terms, seen_by, strict=True):
        alone = committee and seen != "both"
        counts["border"] += cell["border"] >= DOUBTFUL["border"]
        counts["type"] += cell["type"] >= DOUBTFUL["type"]
        counts["detector_only"] += seen == "detector"
        counts["segmenter_only"] += alone and seen == "segmenter"
        counts["existence"] += not alone and cell["existence"] >= DOUBTFUL["existence"]
    found = [
        {"code": code, "text": _TEXTS[code](count), "value": count}
        for code, count in counts.items()
        if count
    ]
    return sorted(found, key=lambda reason: -reason["value"])


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


_TEXTS: dict[str, Callable[[int], str]] = {
    "border": lambda n: f"the models disagree on the border of {_cells(n)}",
    "type": lambda n: f"{_cells(n)} {'is' if n == 1 else 'are'} of doubtful type",
    "segmenter_only": lambda n: f"{_cells(n)} only the segmenter sees",
    "detector_only": lambda n: f"{_cells(n)} only the detector sees",
    "existence": lambda n: f"{_cells(n)} may not be there",
}

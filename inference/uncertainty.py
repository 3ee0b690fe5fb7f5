"""What speaks against each predicted cell, how much of an image is likely wrong, and why, in words.

The terms are those of ``inference.doubt``, whose rule makes of them the chance that a cell is
wrong. An image's uncertainty is the share of its cells, seen and missed, that are likely wrong. One
in which nothing was found counts as quite uncertain, since images are taken of cells. Numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBTFUL = {"existence": 0.5, "border": 0.4, "type": 0.7}  # from which a term is told in words
NOTHING_FOUND = 0.75
_SPECKS = 2.0  # where no cell was found: fewer may be dust
MISSED = 0.5  # expected missed cells from which they are told


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


@dataclass(frozen=True)
class Look:
    """What the networks say of a cell's final mask; None where nobody looked."""

    inside: float | None = None  # 0 … 1, the segmenter's mean cell probability
    flow_error: float | None = None  # mean squared, of unit flows
    sharpness: float | None = None  # 0 … 1, fall of the cell probability across the border
    views: float = 0.0  # 0 … 1, what mirrored views disagree on about the type


NOT_LOOKED = Look()


def cell_terms(
    cell: Sight, chance: float | None = None, look: Look = NOT_LOOKED, type_known: bool = False
) -> dict[str, float]:
    """The terms of ``inference.doubt``, 0 … 1 each.

    ``chance`` that the cell is there, 0 … 1, is ``existence_score`` where nobody knows better.
    Where the type is known, as of a single-type culture, nothing speaks against it.
    """
    p = existence_score(cell) if chance is None else chance
    seen_once = cell.segmenter_score is None or cell.detector_score is None
    terms = {
        "existence": min(1.0, 2 * (1 - p)),
        "alone": float(cell.committee and seen_once),
        "inside": 0.0 if look.inside is None else 1 - look.inside,
        "border": 0.0 if cell.iou is None else 1 - cell.iou,
        "flow": min(1.0, look.flow_error or 0.0),
        "edge": 0.0 if look.sharpness is None else 1 - look.sharpness,
        "type": 0.0,
        "margin": 0.0,
        "views": 0.0,
    }
    if not type_known and len(cell.probabilities) > 1:
        terms["type"] = normalised_entropy(cell.probabilities)
        terms["margin"] = 1 - _margin(cell.probabilities)
        terms["views"] = look.views
    return terms


def _margin(probabilities: Sequence[float]) -> float:
    second, first = np.sort(np.asarray(probabilities, float))[-2:]
    return float(first - second)


def normalised_entropy(probabilities: Sequence[float]) -> float:
    """Entropy over its maximum: 0 for one certain type, 1 for a tie; 0 for fewer than two types."""
    p = np.asarray(probabilities, float)
    if p.size < 2:
        return 0.0
    p = p[p > 0]
    return float(np.clip(-(p * np.log(p)).sum() / np.log(len(probabilities)), 0, 1))


def disagreement(votes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mutual information (n,) of type and view, over its maximum log T: how far views differ.

    ``votes`` (n, v, T): type probabilities of v views of each cell.
    """
    count, _, types = votes.shape
    if types < 2:
        return np.zeros(count)
    of_mean = _entropy(votes.mean(axis=1))
    return np.asarray(np.clip((of_mean - _entropy(votes).mean(axis=1)) / np.log(types), 0, 1))


def _entropy(p: NDArray[np.floating]) -> NDArray[np.float64]:
    p = np.clip(np.asarray(p, float), 1e-12, 1)
    return np.asarray(-(p * np.log(p)).sum(axis=-1))


def image_uncertainty(wrong: Sequence[float], missed: float = 0.0) -> float:
    """The share, 0 … 1, of an image's cells that are likely wrong or missed.

    ``wrong``: of each cell, the chance that it is; ``missed``: how many no mask shows.
    """
    if not len(wrong) and missed < _SPECKS:
        return NOTHING_FOUND
    return float((np.sum(wrong) + missed) / (len(wrong) + missed))


def reasons(
    terms: Sequence[Mapping[str, float]],
    seen_by: Sequence[str],
    committee: bool,
    missed: float = 0.0,
) -> list[dict[str, Any]]:
    """[{"code", "text", "value"}] with ``value`` the number of cells concerned, most first.

    A cell that one of two models alone sees is told as that, not as one of doubtful existence.
    """
    if not terms and missed < MISSED:
        return [{"code": "empty", "text": "no cell was found", "value": 0}]
    counts = dict.fromkeys(_TEXTS, 0)
    for cell, seen in zip(terms, seen_by, strict=True):
        alone = committee and seen != "both"
        counts["border"] += cell["border"] >= DOUBTFUL["border"]
        counts["type"] += cell["type"] >= DOUBTFUL["type"]
        counts["detector_only"] += seen == "detector"
        counts["segmenter_only"] += alone and seen == "segmenter"
        counts["existence"] += not alone and cell["existence"] >= DOUBTFUL["existence"]
    counts["missed"] = max(1, round(missed)) if missed >= MISSED else 0
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
    "missed": lambda n: f"about {_cells(n)} may be missing",
}

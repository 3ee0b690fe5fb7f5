"""The chance that something about a predicted cell is wrong, from what speaks against it.

Terms, each 0 (nothing) … 1, are kept apart. Those of the mask and those of the type go into a
logistic curve each, fitted on the errors of validation images (``training.doubt_fit``; Platt 1999):
a mask is wrong when no true cell has an IoU of 0.5 with it, a type when the true cell has another.
A cell is wrong when one of them is: 1 − (1 − mask)(1 − type). Numpy only.

Of the mask:

existence   2 (1 − p), at most 1, for the calibrated chance p that the cell is there
alone       1 where one of two models alone sees it
inside      1 − the segmenter's mean cell probability inside the mask
border      1 − IoU of the two models' masks; 0 where one alone drew it
flow        mean squared difference of the network's flows and the mask's own, at most 1:
            cellpose's test of a mask (Stringer et al. 2021)
edge        1 − how far the cell probability falls across the border

Of the type:

type        entropy of the probabilities over its maximum
margin      1 − the difference of the two highest probabilities
views       mutual information between the type and how the cell is looked at, over its maximum:
            what mirrored views disagree on (BALD; Houlsby et al. 2011)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

MASK = ("existence", "alone", "inside", "border", "flow", "edge")
TYPE = ("type", "margin", "views")
OFFSET = "offset"
_TOLD = 0.05  # cells at a place from which it is told

Terms = Mapping[str, float]
Weights = Mapping[str, float]
Spot = tuple[float, float, float]  # x, y px, how many cells seem to be there


@dataclass(frozen=True)
class DoubtRule:
    """Weights by term, with an "offset", of the two curves; ``missed`` true cells for each cell
    that the foreground outside all masks would make, and ``unseen`` for each that the pixels alone
    look like (``inference.unseen``).
    """

    mask: Weights
    type: Weights
    missed: float = 1.0
    unseen: float = 0.5

    def wrong_mask(self, terms: Terms) -> float:
        """The chance, 0 … 1, that the mask is no true cell's."""
        return _curve(self.mask, MASK, terms)

    def wrong_type(self, terms: Terms) -> float:
        """The chance that a right mask has another type; 0 where the type is not in question."""
        return _curve(self.type, TYPE, terms) if any(terms.get(name) for name in TYPE) else 0.0

    def wrong(self, terms: Terms) -> float:
        """The chance, 0 … 1, that a person would change the cell."""
        return 1 - (1 - self.wrong_mask(terms)) * (1 - self.wrong_type(terms))

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "mask": dict(self.mask),
            "type": dict(self.type),
            "missed": self.missed,
            "unseen": self.unseen,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> DoubtRule:
        """What ``to_dict`` gave."""
        rule = cls(dict(document["mask"]), dict(document["type"]), float(document["missed"]))
        # Rules fitted before places were looked for have none.
        return replace(rule, unseen=float(document.get("unseen", cls.unseen)))

    def spots(self, missed: Iterable[Spot], unseen: Iterable[Spot]) -> tuple[list[Spot], list[int]]:
        """(x, y, true cells expected there) of both kinds of places but for hardly likely ones, and
        which of both, counted on from the first kind to the second, these are.
        """
        both = ((self.missed, missed), (self.unseen, unseen))
        found = [(x, y, weight * cells) for weight, spots in both for x, y, cells in spots]
        likely = [number for number, spot in enumerate(found) if spot[2] >= _TOLD]
        return [found[number] for number in likely], likely


def _curve(weights: Weights, names: tuple[str, ...], terms: Terms) -> float:
    z = weights[OFFSET] + sum(weights.get(name, 0.0) * terms.get(name, 0.0) for name in names)
    return float(1 / (1 + np.exp(-z)))


# Where no errors were seen yet, and what a fit begins with: about what fits on synthetic and on
# real images had in common (docs/active-learning.md).
USUAL = DoubtRule(
    mask={
        OFFSET: -5.0,
        "existence": 2.5,
        "alone": 1.0,
        "inside": 2.0,
        "border": 3.0,
        "flow": 4.0,
        "edge": 1.0,
    },
    type={OFFSET: -4.0, "type": 2.0, "margin": 2.0, "views": 1.0},
)

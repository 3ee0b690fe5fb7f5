"""What two models draw in one image, side by side: each model's cells, and which of them exclude
each other.

Neither model is right where they differ: one draws a cell that the other does not see, or two where
the other draws one. So each model's cell is a drawing that is chosen or not; two that share too
many pixels cannot both be. Numpy and scipy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inference.fusion_rule import DETECTOR, FREE, SEGMENTER, FusionRule
from inference.labels import relabel
from inference.uncertainty import Sight

if TYPE_CHECKING:
    from inference.detector import Detections
    from inference.segmenter import Segmentation

SAME = 0.3  # IoU from which two drawings may be two sights of one cell
AGREED = 0.5  # from here on they surely are
SMALLEST = 15  # px², as the segmenter's min_size
# What the drawing of the model with the better borders is worth more, where chances tie.
_BETTER = 0.02
# What a cell that both see is worth at least: it stays unless others take its place.
_SEEN_TWICE = 0.01
_MOST = 12  # drawings of one model in a knot up to which all choices are tried
_MOST_TRIED = 2_000_000  # choices times the other model's drawings: a few MB


@dataclass(frozen=True)
class Drawings:
    """``labels`` (H, W) 1 … n of the segmenter, ``drawn`` (H, W) 1 … m of the detector.

    ``order`` (m,): which detection each label of ``drawn`` is. ``sights``: of the n, then of the m.
    ``exclusive`` (k, 2): rows into the n and into the m that cannot both be chosen. ``agreed``
    (a, 2): those that are two drawings of one cell, one to one; they exclude each other too.
    """

    labels: NDArray[Any]
    drawn: NDArray[Any]
    order: NDArray[np.intp]
    sights: list[Sight]
    exclusive: NDArray[np.intp]
    agreed: NDArray[np.intp] = field(default_factory=lambda: np.zeros((0, 2), np.intp))

    def chosen(self, rule: FusionRule, chances: Sequence[float] | None = None) -> NDArray[np.bool_]:
        """Which drawings (n + m,) have the greatest sum of worth, none excluding another.

        A drawing is worth its chance over what a cell must have to raise AP (``rule.worth``), and
        a little more where that settles a tie; where two drawings agree, the model with the better
        borders draws the cell, if its drawing excludes nothing else that was chosen.
        ``chances`` (n + m,) saves asking ``rule.chance`` of each again.
        """
        known = chances if chances is not None else [None] * len(self.sights)
        worths = [_worth(rule, sight, p) for sight, p in zip(self.sights, known, strict=True)]
        worth = np.array(worths, float)
        pick = worth > 0
        # What is worth nothing is not chosen, whatever it excludes.
        rivals = self.exclusive[
            pick[self.exclusive[:, 0]] & pick[self.count + self.exclusive[:, 1]]
        ]
        for ours, theirs, shared in _knots(rivals, self.count, len(self.sights)):
            both = np.concatenate([ours, theirs])
            pick[both] = False
            pick[_best(worth, ours, theirs, shared)] = True
        return self._with_better_borders(pick, rule.borders)

    def _with_better_borders(self, pick: NDArray[np.bool_], model: str) -> NDArray[np.bool_]:
        """``pick`` with the agreed cells as ``model`` draws them, where nothing chosen forbids."""
        if model not in (SEGMENTER, DETECTOR):
            return pick
        first, second = self.agreed[:, 0], self.count + self.agreed[:, 1]
        better, other = (first, second) if model == SEGMENTER else (second, first)
        against: dict[int, list[int]] = {}
        for ours, theirs in np.add(self.exclusive, [0, self.count]).tolist():
            one, rival = (ours, theirs) if model == SEGMENTER else (theirs, ours)
            against.setdefault(one, []).append(rival)
        for one, rival in zip(better.tolist(), other.tolist(), strict=True):
            if pick[rival] and not pick[against[one]].sum() > 1:
                pick[one], pick[rival] = True, False
        return pick

    def of(self, model: str, pick: NDArray[np.bool_]) -> dict[int, Sight]:
        """The chosen of the model's drawings, by label."""
        n = self.count
        first, last = (0, n) if model == SEGMENTER else (n, len(self.sights))
        return {row - first + 1: self.sights[row] for row in range(first, last) if pick[row]}

    @property
    def count(self) -> int:
        """How many drawings are the segmenter's."""
        return len(self.sights) - len(self.order)


def _worth(rule: FusionRule, sight: Sight, chance: float | None) -> float:
    worth = rule.worth(sight, chance)
    if sight.iou is not None:
        worth = max(worth, _SEEN_TWICE)
    return worth + (_BETTER if worth > 0 and sight.drawn_by == rule.borders else 0.0)


def drawings(segmentation: Segmentation, detections: Detections) -> Drawings:
    """Both models' drawings of one image; detections under ``SMALLEST`` px² are no cells."""
    labels, _ = relabel(segmentation.labels)
    large = np.flatnonzero([box.mask.sum() >= SMALLEST for box in detections.masks])
    drawn, order = detections.rows(large).to_labels((labels.shape[0], labels.shape[1]))
    order = large[order]
    inside = mean_probability(labels, segmentation.cellprob)
    under = mean_probability(drawn, segmentation.cellprob)
    ours, theirs, iou, covered = _overlaps(labels, drawn)
    partner = _partners(ours, theirs, iou)
    back = {other: row for row, (other, _) in partner.items()}
    scores = detections.scores[order]
    sights = []
    for row, score in enumerate(inside.tolist()):
        other, shared = partner.get(row, (None, None))
        detected = None if other is None else float(scores[other])
        sights.append(Sight(score, detected, shared, (), committee=True))
    for row, detected in enumerate(scores.tolist()):
        other = back.get(row)
        segmented = None if other is None else float(inside[other])
        shared = None if other is None else partner[other][1]
        sights.append(
            Sight(
                segmented,
                detected,
                shared,
                (),
                committee=True,
                drawn_by=DETECTOR,
                foreground=float(under[row]),
            )
        )
    clash = covered > 1 - FREE
    exclusive = np.stack([ours[clash], theirs[clash]], axis=1)
    agreed = [(row, other) for row, (other, shared) in partner.items() if shared >= AGREED]
    pairs = np.array(agreed, np.intp).reshape(-1, 2)
    return Drawings(labels, drawn, order, sights, exclusive, pairs)


def mean_probability(labels: NDArray[Any], cellprob: NDArray[np.float32]) -> NDArray[np.float64]:
    """The segmenter's mean probability inside each mask (n,); ``cellprob`` holds logits."""
    count = int(labels.max(initial=0))
    probability = 1 / (1 + np.exp(-np.clip(cellprob, -30, 30)))
    index = labels.ravel().astype(np.intp)
    total = np.bincount(index, probability.ravel(), minlength=count + 1)
    areas = np.bincount(index, minlength=count + 1)
    return np.asarray((total / np.maximum(areas, 1))[1:])


Rows = NDArray[np.intp]


def _overlaps(
    labels: NDArray[Any], drawn: NDArray[Any]
) -> tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]]:
    """Overlapping pairs: rows of each, IoU, and what share of the smaller one is common."""
    n, m = int(labels.max(initial=0)), int(drawn.max(initial=0))
    areas, others = (
        np.bincount(labels.ravel(), minlength=n + 1),
        np.bincount(drawn.ravel(), minlength=m + 1),
    )
    both = (labels > 0) & (drawn > 0)
    keys, shared = np.unique(
        labels[both].astype(np.int64) * (m + 1) + drawn[both], return_counts=True
    )
    a, b = np.divmod(keys, m + 1)
    iou = shared / np.maximum(areas[a] + others[b] - shared, 1)
    covered = shared / np.maximum(np.minimum(areas[a], others[b]), 1)
    return (a - 1).astype(np.intp), (b - 1).astype(np.intp), iou, covered


def _partners(ours: Rows, theirs: Rows, iou: NDArray[np.float64]) -> dict[int, tuple[int, float]]:
    """One-to-one matches at IoU ≥ ``SAME``, the best first: segmenter's row → (detector's, IoU)."""
    result: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for pair in np.argsort(-iou, kind="stable"):
        if iou[pair] < SAME:
            break
        row, other = int(ours[pair]), int(theirs[pair])
        if row not in result and other not in taken:
            result[row] = other, float(iou[pair])
            taken.add(other)
    return result


def _knots(exclusive: Rows, n: int, total: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Drawings that hang together by exclusion: the segmenter's, the detector's, their pairs.

    Rows count the segmenter's first, then the detector's from ``n`` on.
    """
    if not len(exclusive):
        return
    first, second = exclusive[:, 0], exclusive[:, 1] + n
    links = coo_array((np.ones(len(first)), (first, second)), (total, total))
    _, knot = connected_components(links, directed=False)
    order = np.argsort(knot[first], kind="stable")
    starts = np.flatnonzero(np.diff(knot[first][order])) + 1
    for rows in np.split(order, starts):
        shared = np.stack([first[rows], second[rows]], axis=1)
        yield np.unique(shared[:, 0]), np.unique(shared[:, 1]), shared


def _best(worth: NDArray[np.float64], ours: Rows, theirs: Rows, shared: Rows) -> Rows:
    """The drawings of a knot to choose: exact for small knots, else the worthiest first.

    Each model's own drawings do not overlap. So once it is said which of one model's are chosen,
    all of the other's follow that none of them excludes.
    """
    few, many = (ours, theirs) if len(ours) <= len(theirs) else (theirs, ours)
    if len(few) > _MOST or 2 ** len(few) * len(many) > _MOST_TRIED:
        return _greedy(worth, shared)
    blocks = np.zeros((len(few), len(many)), bool)
    for a, b in shared:
        one, other = (a, b) if few is ours else (b, a)
        blocks[np.searchsorted(few, one), np.searchsorted(many, other)] = True
    # (2^few, few): every choice among the fewer.
    choices = (np.arange(2 ** len(few))[:, None] >> np.arange(len(few))) & 1 > 0
    free = ~((choices.astype(np.uint8) @ blocks.astype(np.uint8)) > 0) & (worth[many] > 0)
    value = choices @ worth[few] + free @ worth[many]
    best = int(np.argmax(value))
    return np.concatenate([few[choices[best]], many[free[best]]])


def _greedy(worth: NDArray[np.float64], shared: Rows) -> Rows:
    blocked: set[int] = set()
    picked = []
    against: dict[int, set[int]] = {}
    for a, b in shared.tolist():
        against.setdefault(a, set()).add(b)
        against.setdefault(b, set()).add(a)
    for row in sorted(against, key=lambda row: -worth[row]):
        if worth[row] > 0 and row not in blocked:
            picked.append(row)
            blocked |= against[row]
    return np.array(picked, np.intp)

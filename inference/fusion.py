"""Two models' instances → one typed label image, and how far the two agree on each cell.

Instances are matched by IoU. Cells both models see keep the mask of the one that draws the better
borders, those that one alone sees stay or go by their calibrated score (``FusionRule``). A cell
that overlaps others gets the pixels no other cell holds, so no cell is ever lost to an overlap.
Types come from the detector's type head on the final instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.detector import BoxMask, Detections, Detector, largest_piece
from inference.fusion_rule import SEGMENTER, UNFITTED, FusionRule, seen_by
from inference.labels import cell_ids, iou_pairs, relabel
from inference.segmenter import Segmentation
from inference.uncertainty import Sight

SAME = 0.3  # IoU from which two instances are two drawings of one cell
FREE = 0.6  # share of its mask that must be free of other cells
SMALLEST = 15  # px², as the segmenter's min_size


@dataclass(frozen=True)
class FusedCell:
    """One instance of the fused label image. Scores are 0 … 1, None where a model is silent."""

    label: int
    seen_by: str  # "both" | "segmenter" | "detector"
    segmenter_score: float | None  # mean cell probability inside the mask
    detector_score: float | None
    iou: float | None  # of the two models' masks, for cells both see
    chance: float  # 0 … 1, that the cell is there
    probabilities: tuple[float, ...]  # over the detector's types; () without a detector


@dataclass(frozen=True)
class Fused:
    """``labels`` (H, W), 1 … n without gaps, and one ``FusedCell`` per label in order."""

    labels: NDArray[Any]
    cells: list[FusedCell]


class Typist(Protocol):
    """Names the types of given instances: a ``Detector``."""

    def classify_planes(
        self, planes: NDArray[np.float32], labels: NDArray[Any], diameter: float | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...


def fuse(
    segmentation: Segmentation,
    detections: Detections | None,
    planes: NDArray[np.float32],
    detector: Detector | Typist | None,
    rule: FusionRule = UNFITTED,
) -> Fused:
    """Merge both models' cells of an image, with ``None`` the segmenter's alone.

    ``planes`` (C, H, W) are the image as ``normalize`` gives it.
    """
    labels, sights = merge(segmentation, detections, rule)
    types = np.zeros((len(sights), 0), np.float32)
    if detector is not None:
        _, types = detector.classify_planes(planes, labels, segmentation.diameter)
    cells = [
        FusedCell(
            label=label,
            seen_by=seen_by(sight),
            segmenter_score=sight.segmenter_score,
            detector_score=sight.detector_score,
            iou=sight.iou,
            chance=rule.chance(sight),
            probabilities=tuple(float(p) for p in types[label - 1]),
        )
        for label, sight in enumerate(sights, 1)
    ]
    return Fused(labels, cells)


def merge(
    segmentation: Segmentation, detections: Detections | None, rule: FusionRule
) -> tuple[NDArray[Any], list[Sight]]:
    """One label image (H, W), 1 … n, and what the models say of each of its cells, types aside."""
    labels, _ = relabel(segmentation.labels)
    scores = _segmenter_scores(labels, segmentation.cellprob).tolist()
    if detections is None:
        return labels, [Sight(score, None, None, (), committee=False) for score in scores]
    drawn, order = detections.to_labels((labels.shape[0], labels.shape[1]))
    partner = _partners(labels, drawn)
    sights = {}
    for label, score in enumerate(scores, 1):
        other, iou = partner.get(label, (None, None))
        detected = None if other is None else float(detections.scores[order[other - 1]])
        sights[label] = Sight(score, detected, iou, (), committee=True)
    kept = {label: sight for label, sight in sights.items() if rule.keeps(sight)}
    if rule.borders == SEGMENTER:
        canvas = _Canvas(labels, kept)
    else:
        canvas = _Canvas(drawn, {partner[n][0]: s for n, s in kept.items() if n in partner})
        for box, label in _boxes(labels, [n for n in kept if n not in partner]):
            canvas.add(box, kept[label])
    taken = {int(order[other - 1]) for other, _ in partner.values()}
    for index in np.argsort(-detections.scores, kind="stable").tolist():
        alone = Sight(None, float(detections.scores[index]), None, (), committee=True)
        if index not in taken and rule.keeps(alone):
            canvas.add(detections.masks[index], alone)
    return canvas.finished(), canvas.sights


class _Canvas:
    """A label image that grows by cells on the pixels that no other cell holds."""

    def __init__(self, labels: NDArray[Any], cells: Mapping[int, Sight]) -> None:
        """Begins with these ``cells`` of ``labels``, by label."""
        number = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
        number[list(cells)] = np.arange(1, len(cells) + 1)
        self._labels = number[labels]
        self.sights = list(cells.values())

    def add(self, box: BoxMask, sight: Sight) -> None:
        """Draw one more cell, unless too little of it is free."""
        free = largest_piece(box.mask & (self._labels[box.place] == 0))
        if free.sum() >= max(SMALLEST, FREE * box.mask.sum()):
            self.sights.append(sight)
            self._labels[box.place][free] = len(self.sights)

    def finished(self) -> NDArray[Any]:
        """(H, W), 1 … n in the order of ``sights``."""
        return self._labels.astype(np.uint16 if len(self.sights) <= 0xFFFF else np.uint32)


def _boxes(labels: NDArray[Any], wanted: Iterable[int]) -> Iterator[tuple[BoxMask, int]]:
    places = ndimage.find_objects(labels)
    for label in wanted:
        rows, columns = places[label - 1]
        yield BoxMask(columns.start, rows.start, labels[rows, columns] == label), label


def _segmenter_scores(labels: NDArray[Any], cellprob: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean probability inside each mask (n,); ``cellprob`` holds logits."""
    count = int(labels.max(initial=0))
    probability = 1 / (1 + np.exp(-np.clip(cellprob, -30, 30)))
    index = labels.ravel().astype(np.intp)
    total = np.bincount(index, probability.ravel(), minlength=count + 1)
    areas = np.bincount(index, minlength=count + 1)
    return np.asarray((total / np.maximum(areas, 1))[1:])


def _partners(labels: NDArray[Any], drawn: NDArray[Any]) -> dict[int, tuple[int, float]]:
    """One-to-one matches at IoU ≥ ``SAME``, the best first: label → (label in ``drawn``, IoU)."""
    rows, columns, iou = iou_pairs(labels, drawn)
    ids, drawn_ids = cell_ids(labels), cell_ids(drawn)
    result: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for pair in np.argsort(-iou, kind="stable"):
        if iou[pair] < SAME:
            break
        label, other = int(ids[rows[pair]]), int(drawn_ids[columns[pair]])
        if label not in result and other not in taken:
            result[label] = other, float(iou[pair])
            taken.add(other)
    return result

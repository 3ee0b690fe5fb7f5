"""Two models' instances → one typed label image, and how far the two agree on each cell.

Instances are matched by IoU. Cells on which both agree have the mask of the model that draws the
better borders, or the likelier of the two; what one alone sees stays or goes by its calibrated
chance, and where one draws a cell and the other two, the more probable drawing is taken
(``Drawings.chosen``). A cell that overlaps others a little gets the pixels no other cell holds.
Types come from the detector's type head on the final instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference import embeddings
from inference.detector import BoxMask, Detections, Detector, TypedCells, largest_piece
from inference.doubt import Spot
from inference.drawings import SMALLEST, drawings, mean_probability
from inference.fusion_rule import DETECTOR, SEGMENTER, UNFITTED, FusionRule, seen_by
from inference.labels import relabel
from inference.mask_evidence import MaskEvidence, mask_evidence, missed_cells
from inference.segmenter import Segmentation
from inference.uncertainty import NOT_LOOKED, Look, Sight
from inference.unseen import Peak, peaks

LEFT = 0.4  # share of a chosen drawing that the other chosen ones must leave


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
    look: Look = NOT_LOOKED
    embedding: bytes = b""  # as ``embeddings.pack`` writes it


@dataclass(frozen=True)
class Fused:
    """``labels`` (H, W), 1 … n without gaps, and one ``FusedCell`` per label in order.

    ``missed``: (x, y, cells) px of what looks like cells to the segmenter that no mask shows.
    ``peaks``: what looks like cells in the pixels themselves, with masks or without.
    """

    labels: NDArray[Any]
    cells: list[FusedCell]
    missed: list[Spot] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)


class Typist(Protocol):
    """Names the types of given instances: a ``Detector``."""

    def typed_planes(
        self, planes: NDArray[np.float32], labels: NDArray[Any], diameter: float | None = None
    ) -> TypedCells: ...


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
    evidence = mask_evidence(labels, segmentation.cellprob, segmentation.flows)
    typed = None
    if detector is not None:
        typed = detector.typed_planes(planes, labels, segmentation.diameter)
    if typed is not None and typed.probabilities.shape[1]:
        vectors = typed.embeddings
    else:  # nothing has learnt what tells these cells apart: what can be measured must do
        vectors = embeddings.measured(planes, labels)
    packed = embeddings.pack(vectors)
    cells = [
        FusedCell(
            label=label,
            seen_by=seen_by(sight),
            segmenter_score=sight.segmenter_score,
            detector_score=sight.detector_score,
            iou=sight.iou,
            chance=rule.chance(sight),
            probabilities=_types(typed, label - 1),
            look=_look(evidence, typed, label - 1),
            embedding=packed[label - 1],
        )
        for label, sight in enumerate(sights, 1)
    ]
    missed = missed_cells(labels, segmentation.cellprob, segmentation.diameter)
    found = peaks(planes, labels, segmentation.diameter, missed)
    return Fused(labels, cells, missed, found)


def _types(typed: TypedCells | None, row: int) -> tuple[float, ...]:
    return tuple(float(p) for p in typed.probabilities[row]) if typed is not None else ()


def _look(evidence: MaskEvidence, typed: TypedCells | None, row: int) -> Look:
    return Look(
        inside=float(evidence.inside[row]),
        flow_error=float(evidence.flow_errors[row]),
        sharpness=float(evidence.sharpness[row]),
        views=float(typed.views[row]) if typed is not None else 0.0,
    )


def merge(
    segmentation: Segmentation, detections: Detections | None, rule: FusionRule
) -> tuple[NDArray[Any], list[Sight]]:
    """One label image (H, W), 1 … n, and what the models say of each of its cells, types aside."""
    if detections is None:
        labels, _ = relabel(segmentation.labels)
        scores = mean_probability(labels, segmentation.cellprob).tolist()
        return labels, [Sight(score, None, None, (), committee=False) for score in scores]
    both = drawings(segmentation, detections)
    pick = both.chosen(rule)
    ours, theirs = both.of(SEGMENTER, pick), both.of(DETECTOR, pick)
    if rule.borders == SEGMENTER:
        canvas = _Canvas(both.labels, ours)
        for label, sight in sorted(theirs.items(), key=_by_score):
            canvas.add(detections.masks[both.order[label - 1]], sight)
    else:
        canvas = _Canvas(np.zeros_like(both.labels), {})
        for label, sight in sorted(theirs.items(), key=_by_score):
            canvas.add(detections.masks[both.order[label - 1]], sight)
        for box, label in _boxes(both.labels, ours):
            canvas.add(box, ours[label])
    return canvas.finished(), canvas.sights


def _by_score(each: tuple[int, Sight]) -> float:
    return -(each[1].detector_score or 0.0)


class _Canvas:
    """A label image that grows by cells on the pixels that no other cell holds."""

    def __init__(self, labels: NDArray[Any], cells: Mapping[int, Sight]) -> None:
        """Begins with these ``cells`` of ``labels``, by label."""
        number = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
        number[list(cells)] = np.arange(1, len(cells) + 1)
        self._labels = number[labels]
        self.sights = list(cells.values())

    def add(self, box: BoxMask, sight: Sight) -> None:
        """Draw one more cell, unless several others together leave too little of it free."""
        free = largest_piece(box.mask & (self._labels[box.place] == 0))
        if free.sum() >= max(SMALLEST, LEFT * box.mask.sum()):
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

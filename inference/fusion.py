"""Two models' instances → one typed label image, and how far the two agree on each cell.

Masks are the segmenter's. A cell that only the detector sees is added when it is sure of it, on
pixels no other cell holds, so no cell is ever lost to an overlap. Types come from the detector's
type head on the final instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.detector import SURE, Detections, Detector, largest_piece
from inference.labels import cell_ids, compact, iou_pairs, relabel
from inference.segmenter import Segmentation

SAME = 0.3  # IoU from which two instances are two drawings of one cell
FREE = 0.6  # share of its mask that must be free of other cells
SMALLEST = 15  # px², as the segmenter's min_size
BOTH, SEGMENTER, DETECTOR = "both", "segmenter", "detector"


@dataclass(frozen=True)
class FusedCell:
    """One instance of the fused label image. Scores are 0 … 1, None where a model is silent."""

    label: int
    seen_by: str  # "both" | "segmenter" | "detector"
    segmenter_score: float | None  # mean cell probability inside the mask
    detector_score: float | None
    iou: float | None  # of the two models' masks, for cells both see
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
) -> Fused:
    """Merge both models' cells of an image, with ``None`` the segmenter's alone.

    ``planes`` (C, H, W) are the image as ``normalize`` gives it.
    """
    labels, _ = relabel(segmentation.labels)
    count = int(labels.max(initial=0))
    sure = _segmenter_scores(labels, segmentation.cellprob)
    partner: dict[int, tuple[int, float]] = {}  # label → (detection, IoU)
    added: dict[int, int] = {}  # label → detection
    if detections is not None:
        partner = _partners(labels, detections)
        labels, added = _with_additions(labels, detections, {d for d, _ in partner.values()})
    types = np.zeros((count + len(added), 0), np.float32)
    if detector is not None:
        _, types = detector.classify_planes(planes, labels, segmentation.diameter)
    scores = detections.scores if detections is not None else np.zeros(0)
    cells = []
    for label in range(1, count + len(added) + 1):
        seen = DETECTOR if label in added else BOTH if label in partner else SEGMENTER
        found = added[label] if label in added else partner.get(label, (None, 0.0))[0]
        cells.append(
            FusedCell(
                label=label,
                seen_by=seen,
                segmenter_score=None if seen == DETECTOR else float(sure[label - 1]),
                detector_score=None if found is None else float(scores[found]),
                iou=partner[label][1] if seen == BOTH else None,
                probabilities=tuple(float(p) for p in types[label - 1]),
            )
        )
    return Fused(labels, cells)


def _segmenter_scores(labels: NDArray[Any], cellprob: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean probability inside each mask (n,); ``cellprob`` holds logits."""
    count = int(labels.max(initial=0))
    probability = 1 / (1 + np.exp(-np.clip(cellprob, -30, 30)))
    index = labels.ravel().astype(np.intp)
    total = np.bincount(index, probability.ravel(), minlength=count + 1)
    areas = np.bincount(index, minlength=count + 1)
    return np.asarray((total / np.maximum(areas, 1))[1:])


def _partners(labels: NDArray[Any], detections: Detections) -> dict[int, tuple[int, float]]:
    """One-to-one matches at IoU ≥ ``SAME``, the best first: label → (detection, IoU)."""
    drawn, kept = detections.to_labels((labels.shape[0], labels.shape[1]))
    rows, columns, iou = iou_pairs(labels, drawn)
    ids, drawn_ids = cell_ids(labels), cell_ids(drawn)
    result: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for pair in np.argsort(-iou, kind="stable"):
        if iou[pair] < SAME:
            break
        label = int(ids[rows[pair]])
        detection = int(kept[drawn_ids[columns[pair]] - 1])
        if label not in result and detection not in taken:
            result[label] = detection, float(iou[pair])
            taken.add(detection)
    return result


def _with_additions(
    labels: NDArray[Any], detections: Detections, matched: set[int]
) -> tuple[NDArray[Any], dict[int, int]]:
    """``labels`` plus the sure detections without a partner, on free pixels; who was added."""
    grown = labels.astype(np.uint32)
    count = int(labels.max(initial=0))
    added: dict[int, int] = {}
    for index in np.argsort(-detections.scores, kind="stable").tolist():
        box = detections.masks[index]
        if index in matched or detections.scores[index] < SURE:
            continue
        free = largest_piece(box.mask & (grown[box.place] == 0))
        if free.sum() < max(SMALLEST, FREE * box.mask.sum()):
            continue
        count += 1
        grown[box.place][free] = count
        added[count] = index
    dense, _ = compact(grown)
    return dense.astype(np.uint16 if count <= 0xFFFF else np.uint32), added

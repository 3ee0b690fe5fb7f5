"""How good label images and types are. Numpy only; every figure can be checked by hand.

Matching is one to one at an intersection over union (IoU) of at least 0.5, where at most one
true cell can claim a prediction beyond ties, so greedy matching by IoU is optimal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import cell_ids, compact, iou_pairs

Labels = NDArray[Any]
THRESHOLDS = (0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Matching:
    """Pairs of cells of two label images, as ids, one to one."""

    true: NDArray[np.int64]  # (m,)
    predicted: NDArray[np.int64]  # (m,)
    iou: NDArray[np.float32]  # (m,)
    missed: NDArray[np.int64]  # true ids without a partner
    extra: NDArray[np.int64]  # predicted ids without a partner


def match(true: Labels, predicted: Labels, threshold: float = 0.5) -> Matching:
    """Match the cells of two label images of one shape at IoU ≥ ``threshold`` (0.5 … 1)."""
    if not 0.5 <= threshold <= 1.0:
        raise ValueError("Cells are matched at an IoU of 0.5 to 1.")
    true_ids, predicted_ids = cell_ids(true), cell_ids(predicted)
    rows, columns, iou = iou_pairs(true, predicted)
    keep = iou >= np.float32(threshold)
    rows, columns, iou = rows[keep], columns[keep], iou[keep]
    order = np.argsort(-iou, kind="stable")
    used_rows, used_columns = np.zeros(true_ids.size, bool), np.zeros(predicted_ids.size, bool)
    chosen = []
    for k in order:
        if not used_rows[rows[k]] and not used_columns[columns[k]]:
            used_rows[rows[k]] = used_columns[columns[k]] = True
            chosen.append(k)
    pick = np.array(chosen, np.intp)
    return Matching(
        true_ids[rows[pick]],
        predicted_ids[columns[pick]],
        iou[pick],
        true_ids[~used_rows],
        predicted_ids[~used_columns],
    )


def match_counts(true: Labels, predicted: Labels, threshold: float) -> tuple[int, int, int]:
    """(true positives, false positives, false negatives) at one IoU threshold."""
    matching = match(true, predicted, threshold)
    return matching.true.size, matching.extra.size, matching.missed.size


def average_precision(
    true: Sequence[Labels],
    predicted: Sequence[Labels],
    thresholds: Sequence[float] = THRESHOLDS,
) -> NDArray[np.float64]:
    """AP in cellpose's sense, TP / (TP + FP + FN), per image and threshold: (images, thresholds).

    An image without true and predicted cells scores 1: there was nothing to find.
    """
    result = np.ones((len(true), len(thresholds)))
    for n, (a, b) in enumerate(zip(true, predicted, strict=True)):
        for k, threshold in enumerate(thresholds):
            hits, extra, missed = match_counts(a, b, threshold)
            if hits + extra + missed:
                result[n, k] = hits / (hits + extra + missed)
    return result


def panoptic_quality(true: Labels, predicted: Labels) -> float:
    """PQ (Kirillov et al., CVPR 2019, eq. 1): summed IoU of matches / (TP + FP/2 + FN/2)."""
    matching = match(true, predicted, 0.5)
    weight = matching.true.size + (matching.extra.size + matching.missed.size) / 2
    return float(matching.iou.sum() / weight) if weight else 1.0


def aggregated_jaccard(true: Labels, predicted: Labels) -> float:
    """AJI (Kumar et al., IEEE TMI 2017, algorithm 1): each true cell takes the prediction of the
    highest IoU (a prediction may be taken twice); their intersections over their unions plus all
    predictions never taken.
    """
    first, true_ids = compact(true)
    second, predicted_ids = compact(predicted)
    if not true_ids.size and not predicted_ids.size:
        return 1.0
    true_areas = np.bincount(first.ravel(), minlength=true_ids.size + 1)[1:].astype(float)
    other_areas = np.bincount(second.ravel(), minlength=predicted_ids.size + 1)[1:].astype(float)
    rows, columns, iou = iou_pairs(true, predicted)
    best = np.full(true_ids.size, -1)
    for k in np.argsort(iou, kind="stable"):
        best[rows[k]] = k
    taken = best[best >= 0]
    value = iou[taken].astype(float)
    both = value / (1 + value) * (true_areas[rows[taken]] + other_areas[columns[taken]])
    union = true_areas[rows[taken]] + other_areas[columns[taken]] - both
    alone = true_areas[best < 0].sum()
    unused = np.delete(other_areas, np.unique(columns[taken])).sum()
    return float(both.sum() / (union.sum() + alone + unused))


def count_error(true: Labels, predicted: Labels) -> float:
    """|predicted − true| / true number of cells; per cell found when there is none."""
    expected, found = cell_ids(true).size, cell_ids(predicted).size
    return abs(found - expected) / max(1, expected)


@dataclass(frozen=True)
class TypedCells:
    """The cells of one image with their types; "" = unknown (true) or undecided (predicted)."""

    labels: Labels
    types: Mapping[int, str]


@dataclass(frozen=True)
class ScoredCells(TypedCells):
    """Predicted cells with the confidence, 0 … 1, that each is one."""

    scores: Mapping[int, float]


def mean_average_precision(
    true: Sequence[TypedCells], predicted: Sequence[ScoredCells], types: Sequence[str]
) -> float | None:
    """COCO's mAP@[.50:.05:.95] of masks (Lin et al. 2014) over the types that occur; without
    ``types``, of cells of any type. None when there is no true cell.
    """
    values = []
    for name in types or ("",):
        chosen = [
            (_of_type(a, name), _of_type(b, name)) for a, b in zip(true, predicted, strict=True)
        ]
        total = sum(cell_ids(a).size for a, _ in chosen)
        if total:
            values += [
                _ranked_precision(chosen, predicted, total, threshold)
                for threshold in np.arange(0.5, 0.96, 0.05)
            ]
    return float(np.mean(values)) if values else None


def _of_type(cells: TypedCells, name: str) -> Labels:
    """The label image with only the cells of one type ("" = all)."""
    if not name:
        return cells.labels
    keep = [label for label, other in cells.types.items() if other == name]
    return np.where(np.isin(cells.labels, keep), cells.labels, 0)


def _ranked_precision(
    images: Sequence[tuple[Labels, Labels]],
    predicted: Sequence[ScoredCells],
    total: int,
    threshold: float,
) -> float:
    """Precision averaged over 101 recalls, predictions of all images ranked by score.

    Label images do not overlap, so at IoU ≥ 0.5 a prediction has one possible partner and the
    order of matching does not matter.
    """
    scores, hits = [], []
    for (a, b), cells in zip(images, predicted, strict=True):
        found = set(match(a, b, min(1.0, float(threshold))).predicted.tolist())
        for label in cell_ids(b).tolist():
            scores.append(cells.scores.get(label, 0.0))
            hits.append(label in found)
    if not scores:
        return 0.0
    right = np.cumsum(np.array(hits)[np.argsort(-np.array(scores), kind="stable")])
    precision = right / np.arange(1, right.size + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / total, np.linspace(0.0, 1.0, 101), side="left")
    return float(np.where(at < right.size, envelope[np.minimum(at, right.size - 1)], 0.0).mean())


def type_confusion(
    true: Sequence[TypedCells], predicted: Sequence[TypedCells]
) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
    """Counts at IoU 0.5: (true type, predicted type) of matched cells, missed cells per true
    type, extra cells per predicted type. True cells of unknown type count nowhere.
    """
    pairs: dict[tuple[str, str], int] = {}
    missed: dict[str, int] = {}
    extra: dict[str, int] = {}
    for a, b in zip(true, predicted, strict=True):
        matching = match(a.labels, b.labels)
        for i, j in zip(matching.true.tolist(), matching.predicted.tolist(), strict=True):
            if a.types.get(i):
                key = (a.types[i], b.types.get(j, ""))
                pairs[key] = pairs.get(key, 0) + 1
        for i in matching.missed.tolist():
            if a.types.get(i):
                missed[a.types[i]] = missed.get(a.types[i], 0) + 1
        for j in matching.extra.tolist():
            if b.types.get(j):
                extra[b.types[j]] = extra.get(b.types[j], 0) + 1
    return pairs, missed, extra


def type_metrics(
    true: Sequence[TypedCells], predicted: Sequence[TypedCells], types: Sequence[str]
) -> dict[str, Any]:
    """{"type_accuracy", "macro_f1", "per_type": {type: {"ap50", "precision", "recall", "f1"}},
    "confusion", "missed", "extra"}; a typed cell is right when matched and of the same type.

    ``type_accuracy`` is over matched cells (None without any); scores nobody could earn are None.
    """
    pairs, missed, extra = type_confusion(true, predicted)
    per_type: dict[str, dict[str, float | None]] = {}
    for name in types:
        hits = pairs.get((name, name), 0)
        wanted = sum(n for (a, _), n in pairs.items() if a == name) + missed.get(name, 0)
        given = sum(n for (_, b), n in pairs.items() if b == name) + extra.get(name, 0)
        per_type[name] = {
            "ap50": _ratio(hits, wanted + given - hits),
            "precision": _ratio(hits, given),
            "recall": _ratio(hits, wanted),
            "f1": _ratio(2 * hits, wanted + given),
        }
    matched = sum(pairs.values())
    scores = [s["f1"] for s in per_type.values() if s["f1"] is not None]
    return {
        "type_accuracy": _ratio(sum(n for (a, b), n in pairs.items() if a == b), matched),
        "macro_f1": float(np.mean(scores)) if scores else None,
        "per_type": per_type,
        "confusion": {f"{a}→{b}": n for (a, b), n in sorted(pairs.items())},
        "missed": missed,
        "extra": extra,
    }


def type_shares(cells: Sequence[TypedCells], types: Sequence[str]) -> dict[str, float]:
    """Share of each type among the typed cells of all images; {} when none is typed."""
    counts = dict.fromkeys(types, 0)
    for image in cells:
        for name in image.types.values():
            if name in counts:
                counts[name] += 1
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a share (Wilson 1927); (0, 1) when nothing was counted."""
    if total <= 0:
        return 0.0, 1.0
    share = hits / total
    scale = 1.0 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_error(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = 10
) -> float:
    """Expected calibration error (Guo et al., ICML 2017, eq. 3) over equal-width bins, 0 … 1."""
    if not confidence.size:
        return 0.0
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        chosen = bin_of == b
        if chosen.any():
            total += chosen.mean() * abs(confidence[chosen].mean() - correct[chosen].mean())
    return float(total)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None

"""Fitting the rule that fuses two models' cells, and measuring it against each model alone.

Fitted on validation images, measured on test images. Both see the images as production does: the
detector at the diameter the segmenter found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inference.detector import Detections
from inference.fusion import fuse, merge
from inference.fusion_rule import BOTH, DETECTOR, SEGMENTER, Curve, FusionRule, logit, seen_by
from inference.predictor import Predictor
from inference.segmenter import Segmentation
from inference.uncertainty import Sight, existence_score
from inference.windows import LARGE
from training.dataset import SnapshotImage
from training.errors import Cancelled
from training.evaluate import Answer, judged
from training.metrics import Matching, TypedCells, calibration_error, match

FEWEST = 10  # cells seen by a model alone (or both) below which nothing is fitted for them
_ROUNDS = 20
_PRIOR = 0.01  # weight of "scores are chances": it counts only where cells say nothing
Stop = Callable[[], bool] | None
Planes = NDArray[np.float32]


@dataclass
class _Seen:
    """Cells of all images under a rule that keeps everything, and which of them are real."""

    sights: list[Sight] = field(default_factory=list)
    real: list[bool] = field(default_factory=list)
    borders: dict[tuple[str, int], float] = field(default_factory=dict)  # true cell → IoU
    true: int = 0


def fit_rule(
    predictor: Predictor, images: Sequence[SnapshotImage], should_stop: Stop = None
) -> FusionRule:
    """The rule under which the fused cells of ``images`` have the highest AP at IoU 0.5.

    Borders are those of the model whose masks have the higher mean IoU with the true cells both
    found. Raises ``Cancelled`` when ``should_stop``, asked before each image, says so.
    """
    seen = {borders: _Seen() for borders in (SEGMENTER, DETECTOR)}
    for image, _, segmentation, detections in _looks(predictor, images, should_stop):
        for borders, all_of in seen.items():
            labels, sights = merge(segmentation, detections, _everything(borders))
            _look(all_of, image, labels, sights)
    borders = _better_borders(seen)
    chosen = seen[borders]
    both, segmenter, detector = (_curve_of(chosen, name) for name in (BOTH, SEGMENTER, DETECTOR))
    return _with_least(FusionRule(borders, 0.5, both, segmenter, detector), chosen)


def measure_rule(
    predictor: Predictor,
    rule: FusionRule,
    images: Sequence[SnapshotImage],
    should_stop: Stop = None,
) -> dict[str, Any]:
    """The fused cells of ``images`` beside each model's alone.

    {"images", "cells", "ap50": {"fused", "segmenter", "detector"}, "missed": {…}, "extra": {…},
    "existence_error", "type_error"}: AP in cellpose's sense, mean over images; shares of the true
    cells that are missed and, per true cell, how many too many are found; expected calibration
    errors of the chance that a fused cell is there and of the types of matched cells (None without
    types).
    """
    tallies = {who: _Tally() for who in ("fused", "segmenter", "detector")}
    chances: list[tuple[float, bool]] = []
    types: list[tuple[float, bool]] = []
    names = predictor.detector.meta.types if predictor.detector is not None else ()
    for image, planes, segmentation, detections in _looks(predictor, images, should_stop):
        shape = (planes.shape[1], planes.shape[2])
        tallies["segmenter"].add(image, segmentation.labels)
        if detections is not None:
            tallies["detector"].add(image, detections.sure().to_labels(shape)[0])
        fused = fuse(segmentation, detections, planes, predictor.detector, rule)
        true, found = tallies["fused"].add(image, fused.labels)
        chances += [(fused.cells[n - 1].chance, True) for n in found.predicted.tolist()]
        chances += [(fused.cells[n - 1].chance, False) for n in found.extra.tolist()]
        for cell, n in zip(found.true.tolist(), found.predicted.tolist(), strict=True):
            p = fused.cells[n - 1].probabilities
            if names and true.types.get(cell):
                types.append((max(p), names[int(np.argmax(p))] == true.types[cell]))
    cells = tallies["fused"].true
    return {
        "images": len(tallies["fused"].ap),
        "cells": cells,
        "ap50": {who: float(np.mean(tally.ap or [0.0])) for who, tally in tallies.items()},
        "missed": {who: tally.missed / max(1, cells) for who, tally in tallies.items()},
        "extra": {who: tally.extra / max(1, cells) for who, tally in tallies.items()},
        "existence_error": _error(chances),
        "type_error": _error(types),
    }


@dataclass
class _Tally:
    """How one set of masks does."""

    ap: list[float] = field(default_factory=list)  # by image
    true: int = 0
    missed: int = 0
    extra: int = 0

    def add(self, image: SnapshotImage, labels: NDArray[Any]) -> tuple[TypedCells, Matching]:
        true, answer = judged(image, Answer(labels, {}, {}))
        found = match(true.labels, answer.labels)
        hits, missed, extra = found.true.size, found.missed.size, found.extra.size
        self.ap.append(hits / (hits + missed + extra) if hits + missed + extra else 1.0)
        self.true += hits + missed
        self.missed += missed
        self.extra += extra
        return true, found


def _looks(
    predictor: Predictor, images: Sequence[SnapshotImage], should_stop: Stop
) -> Iterator[tuple[SnapshotImage, Planes, Segmentation, Detections | None]]:
    """What both models see of each image; those that only windows could show are left out."""
    for image in images:
        if should_stop is not None and should_stop():
            raise Cancelled
        pixels = image.pixels()
        if pixels.shape[1] * pixels.shape[2] <= LARGE:
            planes = predictor.planes(pixels)
            yield image, planes, *predictor.seen_planes(planes)


def _everything(borders: str) -> FusionRule:
    same = Curve(1.0, 0.0)
    return FusionRule(borders, 0.0, same, same, same)


def _look(seen: _Seen, image: SnapshotImage, labels: NDArray[Any], sights: Sequence[Sight]) -> None:
    true, answer = judged(image, Answer(labels, {}, {}))
    found = match(true.labels, answer.labels)
    seen.true += found.true.size + found.missed.size
    for label in found.predicted.tolist() + found.extra.tolist():
        seen.sights.append(sights[label - 1])
    seen.real += [True] * found.predicted.size + [False] * found.extra.size
    for cell, label, iou in zip(
        found.true.tolist(), found.predicted.tolist(), found.iou.tolist(), strict=True
    ):
        if seen_by(sights[label - 1]) == BOTH:
            seen.borders[image.id, cell] = iou


def _better_borders(seen: dict[str, _Seen]) -> str:
    ours, theirs = (seen[name].borders for name in (SEGMENTER, DETECTOR))
    shared = ours.keys() & theirs.keys()
    if len(shared) < FEWEST:
        return SEGMENTER
    gain = np.mean([theirs[cell] - ours[cell] for cell in shared])
    return DETECTOR if gain > 0 else SEGMENTER


def _curve_of(seen: _Seen, name: str) -> Curve | None:
    rows = [k for k, sight in enumerate(seen.sights) if seen_by(sight) == name]
    if len(rows) < FEWEST:
        return None
    scores = np.array([existence_score(seen.sights[k]) for k in rows])
    return fit_curve(scores, np.array([seen.real[k] for k in rows]))


def fit_curve(scores: NDArray[np.floating], real: NDArray[np.bool_]) -> Curve:
    """The logistic curve of greatest likelihood; ``scores`` (n,) 0 … 1, ``real`` (n,).

    Platt's (1999) targets, which are a little short of 0 and 1, keep a faultless set from asking
    for certainty. A curve never falls: a higher score is no less of a cell.
    """
    x = logit(np.asarray(scores, float))
    hits = int(real.sum())
    target = np.where(real, (hits + 1) / (hits + 2), 1 / (len(real) - hits + 2))

    def loss(parameters: NDArray[np.float64]) -> float:
        slope, offset = parameters
        z = slope * x + offset
        prior = _PRIOR * ((slope - 1) ** 2 + offset**2)
        return float((np.logaddexp(0, z) - target * z).sum() + prior)

    best = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0, 10), (-20, 20)])
    return Curve(float(best.x[0]), float(best.x[1]))


def _with_least(rule: FusionRule, seen: _Seen) -> FusionRule:
    """``rule`` with the chance from which a lone cell raises AP.

    A cell of chance p adds p to the hits and 1 − p to hits, misses and extras together, so it
    pays from p / (1 − p) ≥ AP on; repeated until AP stands still (Dinkelbach, 1967).
    """
    for _ in range(_ROUNDS):
        kept = np.array([rule.keeps(sight) for sight in seen.sights], bool)
        hits = int(np.array(seen.real, bool)[kept].sum())
        ap = hits / max(1, seen.true + int(kept.sum()) - hits)
        least = ap / (1 + ap)
        if abs(least - rule.least) < 1e-6:
            break
        rule = replace(rule, least=least)
    return rule


def _error(pairs: Sequence[tuple[float, bool]]) -> float | None:
    if not pairs:
        return None
    confidence, right = zip(*pairs, strict=True)
    return calibration_error(np.array(confidence), np.array(right))

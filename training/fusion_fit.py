"""Fitting the rule that fuses two models' cells, and measuring it against each model alone.

Fitted on validation images, measured on test images. Both see the images as production does: the
detector at the diameter the segmenter found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.detector import Detections
from inference.drawings import Drawings, drawings
from inference.fusion import Fused, fuse
from inference.fusion_rule import DETECTOR, SEGMENTER, SURE, Curve, FusionRule, evidence
from inference.labels import cell_ids, iou_pairs
from inference.predictor import Predictor
from inference.segmenter import Segmentation
from training.answers import Answer, judged
from training.dataset import SnapshotImage
from training.doubt_fit import Doubted, doubted, fit_doubt, measure_doubt
from training.errors import Cancelled
from training.large import is_large
from training.logistic import fit_logistic
from training.metrics import Matching, TypedCells, calibration_error, match

FEWEST = 10  # cells both models draw below which it is not asked whose borders are better
HIT = 0.5  # IoU with a true cell from which it is found
_ROUNDS = 20
_DOUBTED = 60  # images, held in memory, whose errors teach what to doubt
_STEP = 0.02  # of chance, in which the least one is lowered
_FLOOR = 0.1  # chance under which nothing is a cell
_CLEARLY = 0.01  # of the true cells that are to be missed less
# What a curve is before any cell was seen, and how strongly it holds on to it: a few dozen drawings
# outweigh it. Between the curves of pairs that were trained on synthetic images for one to four
# minutes: the better the segmenter, the less a cell is worth that the detector alone sees.
USUAL = {
    SEGMENTER: Curve(own=1.5, agreement=4.5, other=2.0, offset=-2.0),
    DETECTOR: Curve(own=1.8, agreement=5.5, other=3.0, offset=-3.5),
}
Stop = Callable[[], bool] | None
Planes = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _Looked:
    """One image's drawings, which of them lie where the truth is known, and which are true."""

    both: Drawings
    judged: Flags  # (n + m,)
    cell: NDArray[np.int64]  # (n + m,) label of the true cell it is, 0: of none
    true: int  # cells there are
    gain: list[float]  # IoU with the truth, detector's less segmenter's, of cells both draw


def fit_rule(
    predictor: Predictor, images: Sequence[SnapshotImage], should_stop: Stop = None
) -> FusionRule:
    """The rule under which the fused cells of ``images`` have a high AP at IoU 0.5, over all of
    them together, and clearly fewer are missed than by either model (``_with_least``).

    Borders are those of the model whose masks have the higher mean IoU with the true cells, over
    the cells that both draw, also where one of them draws too badly to have found it. Raises
    ``Cancelled`` when ``should_stop``, asked before each image, says so.
    """
    looked: list[_Looked] = []
    kept: list[_Seen] = []
    for seen in _looks(predictor, images, should_stop):
        if seen.detections is not None:
            looked.append(_look(seen.image, drawings(seen.segmentation, seen.detections)))
            if len(kept) < _DOUBTED:
                kept.append(seen)
    gains = [gain for look in looked for gain in look.gain]
    better = DETECTOR if len(gains) >= FEWEST and np.mean(gains) > 0 else SEGMENTER
    segmenter, detector = (_curve_of(looked, model) for model in (SEGMENTER, DETECTOR))
    rule = _with_least(FusionRule(better, 0.5, segmenter, detector), looked)
    doubts = [_doubted(predictor, rule, seen) for seen in kept]
    return replace(rule, doubt=fit_doubt(doubts))


def measure_rule(
    predictor: Predictor,
    rule: FusionRule,
    images: Sequence[SnapshotImage],
    should_stop: Stop = None,
) -> dict[str, Any]:
    """The fused cells of ``images`` beside each model's alone.

    {"images", "cells", "ap50": {"fused", "segmenter", "detector"}, "missed": {…}, "extra": {…},
    "existence_error", "type_error", "doubt"}: AP in cellpose's sense, mean over images; shares of
    the true cells that are missed and, per true cell, how many too many are found; expected
    calibration errors of the chance that a fused cell is there and of the types of matched cells
    (None without types); ``doubt_fit.measure_doubt``.
    """
    tallies = {who: _Tally() for who in ("fused", "segmenter", "detector")}
    chances: list[tuple[float, bool]] = []
    types: list[tuple[float, bool]] = []
    names = _names(predictor)
    doubts: list[Doubted] = []
    for seen in _looks(predictor, images, should_stop):
        image, shape = seen.image, (seen.planes.shape[1], seen.planes.shape[2])
        tallies["segmenter"].add(image, seen.segmentation.labels)
        if seen.detections is not None:
            tallies["detector"].add(image, seen.detections.sure().to_labels(shape)[0])
        fused = seen.fused(predictor, rule)
        true, found = tallies["fused"].add(image, fused.labels)
        doubts.append(doubted(image, fused, names, seen.detections is not None))
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
        "doubt": measure_doubt(rule.doubt, doubts),
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


@dataclass(frozen=True)
class _Seen:
    """What both models see of an image."""

    image: SnapshotImage
    planes: Planes
    segmentation: Segmentation
    detections: Detections | None

    def fused(self, predictor: Predictor, rule: FusionRule) -> Fused:
        return fuse(self.segmentation, self.detections, self.planes, predictor.detector, rule)


def _doubted(predictor: Predictor, rule: FusionRule, seen: _Seen) -> Doubted:
    fused = seen.fused(predictor, rule)
    return doubted(seen.image, fused, _names(predictor), seen.detections is not None)


def _names(predictor: Predictor) -> tuple[str, ...]:
    return predictor.detector.meta.types if predictor.detector is not None else ()


def _looks(
    predictor: Predictor, images: Sequence[SnapshotImage], should_stop: Stop
) -> Iterator[_Seen]:
    """What both models see of each image; those that only windows could show are left out."""
    for image in images:
        if should_stop is not None and should_stop():
            raise Cancelled
        if not is_large(image):
            planes = predictor.planes(image.pixels())
            yield _Seen(image, planes, *predictor.seen_planes(planes))


def _look(image: SnapshotImage, both: Drawings) -> _Looked:
    count = both.count
    judged_ = np.zeros(len(both.sights), bool)
    cell = np.zeros(len(both.sights), np.int64)
    best = np.zeros(len(both.sights), np.float32)  # IoU with a true cell
    true = 0
    for labels, first in ((both.labels, 0), (both.drawn, count)):
        truth, answer = judged(image, Answer(labels, {}, {}))
        found = match(truth.labels, answer.labels)
        hits = first + found.predicted.astype(np.intp) - 1
        cell[hits] = found.true
        judged_[hits] = True
        judged_[first + found.extra.astype(np.intp) - 1] = True
        _, drawn, iou = iou_pairs(truth.labels, answer.labels)
        ids = cell_ids(answer.labels)[drawn].astype(np.intp)
        np.maximum.at(best, first + ids - 1, iou)
        true = found.true.size + found.missed.size
    ours, theirs = best[both.agreed[:, 0]], best[count + both.agreed[:, 1]]
    found_by_one = np.maximum(ours, theirs) >= HIT
    return _Looked(both, judged_, cell, true, (theirs - ours)[found_by_one].tolist())


def _curve_of(looked: Sequence[_Looked], model: str) -> Curve | None:
    rows = [
        (evidence(sight), look.cell[row] > 0)
        for look in looked
        for row, sight in enumerate(look.both.sights)
        if sight.drawn_by == model and look.judged[row]
    ]
    if not rows:
        return None
    seen, real = zip(*rows, strict=True)
    return fit_curve(np.array(seen), np.array(real, bool), USUAL[model])


def fit_curve(seen: NDArray[np.floating], real: Flags, usual: Curve) -> Curve:
    """The most probable curve of ``seen`` (n, 3) ``evidence`` and what is ``real`` (n,)."""
    return Curve(*fit_logistic(seen, real, np.array(astuple(usual))).tolist())


def _with_least(rule: FusionRule, looked: Sequence[_Looked]) -> FusionRule:
    """``rule`` with the chance from which a drawing stays: AP is high, and clearly fewer cells are
    missed than by the better of the models alone.

    A cell of chance p adds p to the hits and 1 − p to hits, misses and extras together, so it
    pays from p / (1 − p) ≥ AP on; repeated until AP stands still (Dinkelbach, 1967). From there
    it is lowered until clearly fewer are missed, for at most half of what was gained in AP: a
    missed cell takes a person longer than one too many.
    """
    # Only the least chance moves from here on.
    chances = [[rule.chance(sight) for sight in look.both.sights] for look in looked]
    for _ in range(_ROUNDS):
        ap = _fused(rule, looked, chances).ap
        if ap == 0:  # nothing true was found: it would keep everything
            break
        least = ap / (1 + ap)
        if abs(least - rule.least) < 1e-6:
            break
        rule = replace(rule, least=least)
    alone = [_alone(model, looked) for model in (SEGMENTER, DETECTOR)]
    best = _fused(rule, looked, chances)
    enough = max(each.hits for each in alone) + max(1, round(_CLEARLY * best.true))
    least_ap = (best.ap + max(each.ap for each in alone)) / 2
    hits = best.hits
    for least in np.arange(rule.least, _FLOOR, -_STEP).tolist():
        lower = replace(rule, least=least)
        found = _fused(lower, looked, chances)
        if hits >= enough or found.ap < least_ap:
            break
        # A lower chance that finds nothing more would only cost AP.
        if found.hits > hits:
            rule, hits = lower, found.hits
    return rule


@dataclass(frozen=True)
class _Count:
    hits: int
    kept: int
    true: int

    @property
    def ap(self) -> float:
        return self.hits / max(1, self.true + self.kept - self.hits)


def _fused(
    rule: FusionRule,
    looked: Sequence[_Looked],
    chances: Sequence[Sequence[float] | None] | None = None,
) -> _Count:
    known = chances if chances is not None else [None] * len(looked)
    picks = [look.both.chosen(rule, each) for look, each in zip(looked, known, strict=True)]
    return _count(looked, picks)


def _alone(model: str, looked: Sequence[_Looked]) -> _Count:
    shown = [
        np.array(
            [
                sight.drawn_by == model
                and (model == SEGMENTER or (sight.detector_score or 0.0) >= SURE)
                for sight in look.both.sights
            ],
            bool,
        )
        for look in looked
    ]
    return _count(looked, shown)


def _count(looked: Sequence[_Looked], picks: Sequence[Flags]) -> _Count:
    judged_ = [pick & look.judged for look, pick in zip(looked, picks, strict=True)]
    # Two drawings of one true cell that do not exclude each other are one hit.
    found = [np.unique(look.cell[pick]) for look, pick in zip(looked, judged_, strict=True)]
    hits = sum(int((labels > 0).sum()) for labels in found)
    return _Count(hits, sum(int(pick.sum()) for pick in judged_), sum(look.true for look in looked))


def _error(pairs: Sequence[tuple[float, bool]]) -> float | None:
    if not pairs:
        return None
    confidence, right = zip(*pairs, strict=True)
    return calibration_error(np.array(confidence), np.array(right))

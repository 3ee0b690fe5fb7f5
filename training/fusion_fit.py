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
from inference.fusion_rule import DETECTOR, LIKELIER, SEGMENTER, SURE, Curve, FusionRule, evidence
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
_STEP = 0.02  # of the chances tried, from …
_LOWEST, _HIGHEST = 0.25, 0.61  # lower ones follow single cells of the few images there are
# AP or recall that an unlikely rule must gain over others to be taken: less is chance on a few
# dozen images. Of borders, and of each 1 that the least chance is away from the usual one, …
_BORDERS, _AWAY = 0.005, 0.1
# … which is this share of the one that gives the highest AP: around that AP is flat, and recall
# is not.
_BELOW = 0.7
_DOUBTED = 60 * 512**2  # px of images, held in memory, whose errors teach what to doubt
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
    """The rule under which few of the fused cells of ``images`` are wrong and few are missed.

    Borders are the segmenter's, the detector's or those of the likelier drawing, and a drawing
    stays from some chance on: of all such rules the one that gains most over each model alone, in
    AP at IoU 0.5 (mean over images) as in recall (``_best_rule``). Raises ``Cancelled`` when
    ``should_stop``, asked before each image, says so.
    """
    looked: list[_Looked] = []
    kept: list[_Seen] = []
    for seen in _looks(predictor, images, should_stop):
        if seen.detections is not None:
            looked.append(_look(seen.image, drawings(seen.segmentation, seen.detections)))
            if not kept or sum(each.pixels for each in kept) + seen.pixels <= _DOUBTED:
                kept.append(seen)
    segmenter, detector = (_curve_of(looked, model) for model in (SEGMENTER, DETECTOR))
    rule = _best_rule(FusionRule(SEGMENTER, 0.5, segmenter, detector), looked)
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

    @property
    def pixels(self) -> int:
        return self.planes.shape[1] * self.planes.shape[2]

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


def _best_rule(rule: FusionRule, looked: Sequence[_Looked]) -> FusionRule:
    """``rule`` with the borders and the least chance that suit ``looked`` best.

    AP alone is won by leaving doubtful cells out, recall by keeping them, and fused cells are to be
    better than either model's in both: the rule is taken whose smaller gain is the largest, of AP
    over the model with the higher AP and of recall over the one with the higher recall. Borders of
    the model with the lower mean IoU must gain ``_BORDERS`` more; a least chance must gain
    ``_AWAY`` times what it is away from ``_BELOW`` times the one that pays by arithmetic: a cell of
    chance p adds p to the hits and 1 − p to hits, misses and extras together, so p / (1 − p) ≥ AP
    (Dinkelbach, 1967).
    Where no rule gains in both, as beside a model that finds more by drawing far too much, it is
    the sum of AP and recall, and at most half of the gain in AP is given for recall.
    """
    usual = _usual_borders(looked)
    borders = (SEGMENTER, DETECTOR, LIKELIER) if _agreed(looked) >= FEWEST else (usual,)
    tried = []
    for model in borders:
        drawn = replace(rule, borders=model)
        # Only the least chance moves from here on.
        chances = [[drawn.chance(sight) for sight in look.both.sights] for look in looked]
        for least in np.arange(_LOWEST, _HIGHEST, _STEP).tolist():
            each = replace(drawn, least=round(least, 4))
            tried.append((each, _Figures.of(_fused(each, looked, chances))))
    alone = [_Figures.of(_alone(model, looked)) for model in (SEGMENTER, DETECTOR)]
    top = max(figures.ap for _, figures in tried)
    least_usually = _BELOW * (top / (1 + top) if top else 0.5)

    def worth(each: tuple[FusionRule, float]) -> tuple[float, bool]:
        found, gain = each
        unlikely = _BORDERS * (found.borders not in (LIKELIER, usual))
        unlikely += _AWAY * abs(found.least - least_usually)
        return round(gain - unlikely, 6), found.borders == usual

    return max(_gains(tried, alone), key=worth)[0]


def _gains(
    tried: Sequence[tuple[FusionRule, _Figures]], alone: Sequence[_Figures]
) -> list[tuple[FusionRule, float]]:
    """What each rule that comes into question gains over the models alone; see ``_best_rule``."""
    ap, recall = max(model.ap for model in alone), max(model.recall for model in alone)
    gains = [(rule, min(each.ap - ap, each.recall - recall)) for rule, each in tried]
    if max(gain for _, gain in gains) > 0:
        return gains
    top = max(figures.ap for _, figures in tried)
    enough = top - max(0.0, top - ap) / 2 - 1e-9
    return [(rule, each.ap + each.recall) for rule, each in tried if each.ap >= enough]


def _agreed(looked: Sequence[_Looked]) -> int:
    return sum(len(look.gain) for look in looked)


def _usual_borders(looked: Sequence[_Looked]) -> str:
    """The model whose masks have the higher mean IoU with the true cells, over the cells that both
    draw, also where one of them draws too badly to have found it.
    """
    gains = [gain for look in looked for gain in look.gain]
    return DETECTOR if len(gains) >= FEWEST and np.mean(gains) > 0 else SEGMENTER


@dataclass(frozen=True)
class _Figures:
    ap: float  # mean over images
    recall: float  # of all cells

    @classmethod
    def of(cls, counts: Sequence[_Count]) -> _Figures:
        """Of images' counts."""
        true = sum(count.true for count in counts)
        hits = sum(count.hits for count in counts)
        return cls(
            float(np.mean([count.ap for count in counts] or [0.0])), hits / true if true else 1.0
        )


@dataclass(frozen=True)
class _Count:
    hits: int
    kept: int
    true: int

    @property
    def ap(self) -> float:
        union = self.true + self.kept - self.hits
        return self.hits / union if union else 1.0


def _fused(
    rule: FusionRule,
    looked: Sequence[_Looked],
    chances: Sequence[Sequence[float] | None] | None = None,
) -> list[_Count]:
    known = chances if chances is not None else [None] * len(looked)
    picks = [look.both.chosen(rule, each) for look, each in zip(looked, known, strict=True)]
    return _count(looked, picks)


def _alone(model: str, looked: Sequence[_Looked]) -> list[_Count]:
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


def _count(looked: Sequence[_Looked], picks: Sequence[Flags]) -> list[_Count]:
    """By image."""
    found = []
    for look, pick in zip(looked, picks, strict=True):
        kept = pick & look.judged
        # Two drawings of one true cell that do not exclude each other are one hit.
        cells = np.unique(look.cell[kept])
        found.append(_Count(int((cells > 0).sum()), int(kept.sum()), look.true))
    return found


def _error(pairs: Sequence[tuple[float, bool]]) -> float | None:
    if not pairs:
        return None
    confidence, right = zip(*pairs, strict=True)
    return calibration_error(np.array(confidence), np.array(right))

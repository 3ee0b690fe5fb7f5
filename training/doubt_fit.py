"""What to doubt, learnt from the errors in images whose truth is known; and how well it predicts.

A cell is wrong when no true cell has an IoU of 0.5 with it, or the true one has another type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from inference.doubt import MASK, OFFSET, TYPE, USUAL, DoubtRule, Spot
from inference.fusion import Fused
from inference.predictor import fused_terms
from inference.unseen import suspected
from training.answers import Answer, judged
from training.dataset import SnapshotImage
from training.logistic import fit_logistic
from training.metrics import match

STEPS = 20  # points of a risk-coverage curve
_ALIKE = 2.0  # cells that a prior (as many missed as suspected; USUAL of the unseen) weighs
_MOST = 3.0  # times as many missed as suspected, at most

Terms = dict[str, float]


@dataclass(frozen=True)
class Doubted:
    """One image's judged cells: the terms of each, whether its mask is wrong, and whether its type
    is (None: not known, or the mask is no cell's). How many cells no mask shows, and how many
    seemed to be there; of the former, ``found`` at places that look like cells in the pixels alone,
    and how many seemed to be at such places, ``unseen``.
    """

    terms: list[Terms]
    wrong_mask: list[bool]
    wrong_type: list[bool | None]
    missed: int
    suspected: float
    found: int = 0
    unseen: float = 0.0


def doubted(image: SnapshotImage, fused: Fused, names: Sequence[str], committee: bool) -> Doubted:
    """The fused cells of ``image`` beside its true ones; ``names`` of the types that a detector
    tells, ``committee`` whether one was asked.
    """
    true, answer = judged(image, Answer(fused.labels, {}, {}))
    found = match(true.labels, answer.labels)
    known = {}
    for cell, n in zip(found.true.tolist(), found.predicted.tolist(), strict=True):
        kind, p = true.types.get(cell), fused.cells[n - 1].probabilities
        known[n] = None if not names or not kind else names[int(np.argmax(p))] != kind
    ids = [*found.predicted.tolist(), *found.extra.tolist()]
    missed, unseen = (_known(image, fused, s) for s in (fused.missed, suspected(fused.peaks)))
    return Doubted(
        terms=[fused_terms(fused.cells[n - 1], committee) for n in ids],
        wrong_mask=[n not in known for n in ids],
        wrong_type=[known.get(n) for n in ids],
        missed=int(found.missed.size),
        suspected=sum(count for _, _, count in missed),
        found=len(at_spots(true.labels, unseen) & set(found.missed.tolist())),
        unseen=sum(count for _, _, count in unseen),
    )


def _known(image: SnapshotImage, fused: Fused, spots: Sequence[Spot]) -> list[Spot]:
    """Those in the complete regions: what is elsewhere nobody knows."""
    trusted = image.trusted(fused.labels.shape)
    return [spot for spot in spots if trusted is None or trusted[pixel_of(spot, trusted.shape)]]


def at_spots(labels: NDArray[Any], spots: Sequence[Spot]) -> set[int]:
    """Ids of the cells of ``labels`` (H, W) that ``spots`` lie in."""
    return {int(labels[pixel_of(spot, labels.shape)]) for spot in spots} - {0}


def pixel_of(spot: Spot, shape: tuple[int, ...]) -> tuple[int, int]:
    """Row and column, within ``shape`` (h, w)."""
    return min(shape[0] - 1, int(spot[1])), min(shape[1] - 1, int(spot[0]))


def fit_doubt(images: Sequence[Doubted]) -> DoubtRule:
    """The most probable rule; the usual one where nothing was judged."""
    rows = [
        (terms, mask, kind)
        for each in images
        for terms, mask, kind in zip(each.terms, each.wrong_mask, each.wrong_type, strict=True)
    ]
    masks = [(terms, mask) for terms, mask, _ in rows]
    types = [(terms, kind) for terms, _, kind in rows if kind is not None]
    found = sum(each.found for each in images)
    missed = sum(each.missed for each in images) - found
    suspected = sum(each.suspected for each in images)
    unseen = sum(each.unseen for each in images)
    return DoubtRule(
        _fitted(masks, MASK, USUAL.mask),
        _fitted(types, TYPE, USUAL.type),
        min(_MOST, (missed + _ALIKE) / (suspected + _ALIKE)),
        min(_MOST, (found + USUAL.unseen * _ALIKE) / (unseen + _ALIKE)),
    )


def _fitted(
    rows: Sequence[tuple[Terms, bool]], names: tuple[str, ...], usual: Any
) -> dict[str, float]:
    if not rows:
        return dict(usual)
    seen = np.array([[terms[name] for name in names] for terms, _ in rows])
    wrong = np.array([flag for _, flag in rows], bool)
    order = [*names, OFFSET]
    weights = fit_logistic(seen, wrong, np.array([usual[name] for name in order]))
    return dict(zip(order, weights.tolist(), strict=True))


def measure_doubt(rule: DoubtRule, images: Sequence[Doubted]) -> dict[str, Any]:
    """How well ``rule`` predicts which cells are wrong, on images that did not teach it.

    {"cells", "wrong", "auroc", "aurc", "coverage", "risk", "expected", "terms"}: the area under the
    ROC curve of "this cell is wrong" (None unless some are and some are not); the share of wrong
    cells among the surest, for each ``coverage``, and its mean, the area under the risk-coverage
    curve (Geifman & El-Yaniv 2017); how many should be wrong; the AUROC of each term alone.
    """
    terms = [each for image in images for each in image.terms]
    wrong = np.array(
        [
            mask or bool(kind)
            for image in images
            for mask, kind in zip(image.wrong_mask, image.wrong_type, strict=True)
        ],
        bool,
    )
    doubt = np.array([rule.wrong(each) for each in terms])
    coverage, risk = risk_coverage(doubt, wrong)
    return {
        "cells": len(terms),
        "wrong": int(wrong.sum()),
        "auroc": auroc(doubt, wrong),
        "aurc": float(np.mean(risk)) if risk else None,
        "coverage": coverage,
        "risk": risk,
        "expected": float(doubt.sum()),
        "terms": {
            name: auroc(np.array([each[name] for each in terms]), wrong) for name in (*MASK, *TYPE)
        },
    }


def auroc(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float | None:
    """The chance that a positive has a higher score than a negative, ties counted half (Hanley &
    McNeil 1982); None without both.
    """
    count = int(positive.sum())
    rest = len(positive) - count
    if not count or not rest:
        return None
    ranks = rankdata(score)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))


def risk_coverage(
    score: NDArray[np.floating], wrong: NDArray[np.bool_]
) -> tuple[list[float], list[float]]:
    """Shares of the cells, the surest first, and the share of wrong ones among them."""
    if not len(score):
        return [], []
    ordered = wrong[np.argsort(score, kind="stable")]
    total = np.cumsum(ordered)
    coverage = [(step + 1) / STEPS for step in range(STEPS)]
    upto = [max(1, round(share * len(ordered))) for share in coverage]
    return coverage, [float(total[count - 1] / count) for count in upto]

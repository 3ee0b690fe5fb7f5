"""What the segmenter's outputs say of masks: how well they fit, and what no mask covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.doubt import Spot
from inference.drawings import mean_probability
from inference.flows import flow_errors

Floats = NDArray[np.float32]

_NEAR = 2  # px around a mask in which probability is still its own
_FOREGROUND = 0.3  # probability from which a pixel may be a missed cell's
_LEAST = 0.25  # of a cell, from which a spot is told
_MOST = 50  # spots told


@dataclass(frozen=True)
class MaskEvidence:
    """Of the masks 1 … n of a label image: arrays (n,)."""

    inside: NDArray[np.float64]  # 0 … 1, mean cell probability
    flow_errors: NDArray[np.float64]  # mean squared, of unit flows
    sharpness: NDArray[np.float64]  # 0 … 1, fall of the cell probability across the border


def mask_evidence(labels: NDArray[Any], cellprob: Floats, flows: Floats) -> MaskEvidence:
    """``labels`` (H, W) 1 … n without gaps, logits (H, W), flows (2, H, W) as a network gives."""
    count = int(labels.max(initial=0))
    return MaskEvidence(
        mean_probability(labels, cellprob),
        flow_errors(labels, flows) if count else np.zeros(0),
        _sharpness(labels, probabilities(cellprob), count),
    )


def probabilities(cellprob: Floats) -> Floats:
    """Of logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(cellprob, -30, 30))), np.float32)


def _sharpness(labels: NDArray[Any], probability: Floats, count: int) -> NDArray[np.float64]:
    """Mean over the pixels where a cell meets the background; 1 where it meets none."""
    fall, seen = np.zeros(count + 1), np.zeros(count + 1)
    for axis in (0, 1):
        one, other = _neighbours(labels, axis)
        here, there = _neighbours(probability, axis)
        for cell, ground, p, q in ((one, other, here, there), (other, one, there, here)):
            edge = (cell > 0) & (ground == 0)
            index = cell[edge].astype(np.intp)
            fall += np.bincount(index, p[edge] - q[edge], minlength=count + 1)
            seen += np.bincount(index, minlength=count + 1)
    mean = np.where(seen > 0, fall / np.maximum(seen, 1), 1.0)
    return np.clip(mean[1:], 0.0, 1.0)


def _neighbours(array: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return (array[:-1], array[1:]) if axis == 0 else (array[:, :-1], array[:, 1:])


def missed_cells(labels: NDArray[Any], cellprob: Floats, diameter: float) -> list[Spot]:
    """(x, y, cells) px of spots outside all masks that look like foreground, the largest first.

    ``cells`` is the probability that lies there over the area of a cell of ``diameter`` px.
    """
    probability = probabilities(cellprob)
    side = 2 * _NEAR + 1
    near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    spots, count = ndimage.label((probability >= _FOREGROUND) & ~near)
    if not count:
        return []
    every = np.arange(1, count + 1)
    cells = ndimage.sum(probability, spots, every) / (np.pi / 4 * max(diameter, 1.0) ** 2)
    told = every[cells >= _LEAST]
    told = told[np.argsort(-cells[told - 1], kind="stable")][:_MOST]
    middles = ndimage.center_of_mass(probability, spots, told)
    return [
        (float(x), float(y), float(cells[spot - 1]))
        for (y, x), spot in zip(middles, told.tolist(), strict=True)
    ]

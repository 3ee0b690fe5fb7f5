"""The cell diameter of an image, from the segmenter itself.

A network trained on cells of one size (with some slack) contradicts itself at a wrong scale: its
masks come out at another size than it was told, their flows disagree with them, or it sees
nothing. So the image is looked at as if its cells were those the network was trained on, then as if
they measured 80, 40, 20, 10 px, from cheap to dear, until the network agrees with what it was told;
the median diameter of its masks is the estimate. A look at the whole image is kept: where it was
right, nothing has to be computed again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.checkpoint import ModelMeta
from inference.flows import DecodeSettings, decode, flow_errors
from inference.labels import cell_ids, diameters, relabel
from inference.normalize import normalize

Planes = NDArray[np.float32]
FlowsAt = Callable[[Planes, float], tuple[Planes, NDArray[np.float32]]]

LADDER = (80.0, 40.0, 20.0, 10.0)  # px assumed in turn; real cells lie within an octave of one
AGREED = 0.55  # quality at which no smaller size is tried: wrong octaves reach about 0.45
_NEAR = 0.35  # octaves between the typical diameter and a rung that would only repeat it
_SIDE = 448  # px of a probe's window at the network's scale: two to three tiles a side
_WHOLE = 2.0  # times a window's pixels that an image may have to be looked at whole: if the size
# told was right, as it mostly is, the second pass is saved, which costs more than the pixels do
_STEP = 16  # px between those that show where a large image is busy
_BAD_FLOW = 0.4  # cellpose's limit of a mask's flow error
_HUGE = 4.0  # times the told diameter: no cell, and slow to judge
_SMALLEST, _LARGEST = 5.0, 300.0  # px, for a network trained at 30 px
_BEYOND = 2.0  # times the training images' cells that a network in doubt is followed to
_OCTAVES = 0.6  # standard deviation of the trust in masks of another size than told


@dataclass(frozen=True)
class Look:
    """The network's answer to the whole image at one scale."""

    assumed: float  # px, the diameter it was told
    outputs: Planes  # (3, h, w) at the network's scale
    style: NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """What the network makes of an image when told ``assumed`` px."""

    assumed: float
    found: float  # px, median diameter of its masks; 0 = it saw none
    quality: float  # 0 … 1
    look: Look | None = None  # None where it saw a part of the image only


@dataclass(frozen=True)
class Estimate:
    """A median cell diameter, and between which bounds a later measurement may correct it (px)."""

    diameter: float
    lowest: float
    highest: float
    look: Look | None = None  # of the probe that is believed

    def bounded(self, diameter: float) -> float:
        """``diameter`` (px) kept within the bounds."""
        return min(max(diameter, self.lowest), self.highest)


def estimate_diameter(planes: Planes, flows_at: FlowsAt, meta: ModelMeta) -> Estimate:
    """Median cell diameter of normalised ``planes`` (2, H, W); the model's typical one when
    nothing is seen at any scale. ``flows_at`` is ``Segmenter.flows``.
    """
    best = Probe(0.0, 0.0, 0.0)
    if planes.any():
        for assumed in _rungs(typical_diameter(meta)):
            best = max(best, probe(planes, flows_at, meta, assumed), key=lambda p: p.quality)
            if best.quality >= AGREED:
                break
    lowest, highest = _bounds(meta, agreed=best.quality >= AGREED)
    found = best.found or typical_diameter(meta)
    return Estimate(min(max(found, lowest), highest), lowest, highest, best.look)


def _rungs(typical: float) -> list[float]:
    """Diameters (px) to try in turn: the typical one, then those of the ladder far from it.

    The ladder's ends stay: what lies beyond them is seen from them alone.
    """
    ends = LADDER[0], LADDER[-1]
    typical = min(max(typical, ends[1]), ends[0])
    far = [step for step in LADDER if step in ends or abs(np.log2(step / typical)) > _NEAR]
    return [typical, *(step for step in far if step != typical)]


def _bounds(meta: ModelMeta, *, agreed: bool) -> tuple[float, float]:
    """The smallest and largest diameter (px) to work at.

    A network that agrees with itself at some size is followed as far as cells go. What a
    half-trained one finds is noise that would enlarge the image without end: it is kept near the
    cells it has learnt from.
    """
    scale = meta.diameter / 30.0
    lowest, highest = _SMALLEST * scale, _LARGEST * scale
    learnt = meta.settings.get("training_diameters", {})
    if agreed or not learnt:
        return lowest, highest
    low, high = learnt["low"] / _BEYOND, learnt["high"] * _BEYOND
    return max(lowest, min(low, highest)), min(highest, max(high, lowest))


def typical_diameter(meta: ModelMeta) -> float:
    """Median diameter (px) of the cells the model was trained on."""
    known = meta.settings.get("training_diameters", {}).get("median")
    return float(known or meta.settings.get("diameter_labels") or meta.diameter)


def probe(planes: Planes, flows_at: FlowsAt, meta: ModelMeta, assumed: float) -> Probe:
    """Run the network as if cells measured ``assumed`` px and judge what comes out.

    Quality is the share of the foreground in masks that agree with the flow, discounted by how
    far their size is from the one assumed.
    """
    window = _window(planes, _SIDE * assumed / meta.diameter)
    outputs, style = flows_at(window, assumed)
    look = Look(assumed, outputs, style) if window.shape == planes.shape else None
    flows, cellprob = outputs[:2], outputs[2]
    labels = decode(flows, cellprob, DecodeSettings(flow_threshold=0.0))
    labels = _without_huge(labels, _HUGE * meta.diameter)
    if not labels.max():
        return Probe(assumed, 0.0, 0.0)
    sizes, errors = diameters(labels), flow_errors(labels, flows)
    if not (errors < _BAD_FLOW).any():
        return Probe(assumed, 0.0, 0.0)
    found = float(np.median(sizes[errors < _BAD_FLOW]))
    agreement = np.clip(1.0 - errors / _BAD_FLOW, 0.0, 1.0)
    foreground = float((cellprob > 0).sum())
    covered = float((agreement * np.pi / 4 * sizes**2).sum()) / foreground
    octaves = np.log2(found / meta.diameter)
    trust = float(np.exp(-0.5 * (octaves / _OCTAVES) ** 2))
    return Probe(assumed, found * assumed / meta.diameter, min(1.0, covered) * trust, look)


def _window(planes: Planes, side: float) -> Planes:
    """``planes``, or where they have over ``_WHOLE`` as many pixels, their busiest ``side`` px."""
    if planes.shape[1] * planes.shape[2] <= _WHOLE * side**2:
        return planes
    return busiest(planes, max(1, int(side)))


def _without_huge(labels: NDArray[Any], diameter: float) -> NDArray[Any]:
    ids = cell_ids(labels)
    return relabel(np.where(np.isin(labels, ids[diameters(labels) > diameter]), 0, labels))[0]


def busiest(planes: Planes, side: int) -> Planes:
    """The window of at most ``side`` px whose pixels vary most: where cells are, if anywhere."""
    spread = _spread(planes, side)
    top, left = (int(k) for k in np.unravel_index(int(spread.argmax()), spread.shape))
    return planes[:, top : top + side, left : left + side]


def busiest_windows(image: NDArray[Any], side: int, count: int) -> list[tuple[slice, slice, slice]]:
    """Where up to ``count`` such windows lie in a large image (C, H, W) of any dtype, the busiest
    first and none upon another, judged by some of its pixels.
    """
    planes = normalize(image[:, ::_STEP, ::_STEP])
    small = -(-side // _STEP)
    spread = _spread(planes, small)
    found: list[tuple[slice, slice, slice]] = []
    for _ in range(count):
        top, left = (int(k) for k in np.unravel_index(int(spread.argmax()), spread.shape))
        if found and spread[top, left] <= 0:
            break
        y, x = top * _STEP, left * _STEP
        found.append((slice(None), slice(y, y + side), slice(x, x + side)))
        spread[max(0, top - small + 1) : top + small, max(0, left - small + 1) : left + small] = 0
    return found


def _spread(planes: Planes, side: int) -> NDArray[np.float64]:
    """Summed variance of all windows of at most ``side`` px, by their upper left corner."""
    height, width = planes.shape[1:]
    rows, columns = min(side, height), min(side, width)
    spread = np.zeros((height - rows + 1, width - columns + 1), np.float64)
    for plane in np.clip(planes, 0.0, 1.0):
        mean, square = (_window_means(p, rows, columns) for p in (plane, plane**2))
        spread += square - mean**2
    return spread


def _window_means(plane: Planes, rows: int, columns: int) -> NDArray[np.float64]:
    """Means of all rows × columns windows that lie inside, by an integral image."""
    total = cv2.integral(plane, sdepth=cv2.CV_64F)
    sums = (
        total[rows:, columns:]
        - total[:-rows, columns:]
        - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )
    return np.asarray(sums / (rows * columns))

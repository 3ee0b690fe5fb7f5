"""The cell diameter of an image, from the segmenter itself.

A network trained on cells of one size (with some slack) contradicts itself at a wrong scale: its
masks come out at another size than it was told, their flows disagree with them, or it sees
nothing. So the image is run at a few assumed diameters, an octave apart and without resizing
back; the most consistent one is taken, and its masks' median diameter is the estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.checkpoint import ModelMeta
from inference.flows import DecodeSettings, decode, flow_errors
from inference.labels import diameters

Planes = NDArray[np.float32]
FlowsAt = Callable[[Planes, float], tuple[Planes, NDArray[np.float32]]]

LADDER = (80.0, 40.0, 20.0, 10.0)  # px assumed in turn, for a network trained at 30 px
_SIDE = 896  # px, largest side of a probe at the network's scale
_SLACK = 1.5  # how far outside the cell sizes it was taught a model is tried
# px at the network's 30: what a half-trained network reports beyond is its noise, and following
# it would blow the image up without bound.
_SMALLEST, _LARGEST = 5.0, 200.0


@dataclass(frozen=True)
class Probe:
    """What the network makes of an image when told ``assumed`` px."""

    assumed: float
    found: float  # px, median diameter of its masks; 0 = it saw none
    quality: float  # 0 … 1


def estimate_diameter(planes: Planes, flows_at: FlowsAt, meta: ModelMeta) -> float:
    """Median cell diameter (px) of normalised ``planes`` (2, H, W); the model's typical one when
    nothing is seen at any scale.
    """
    probes = [probe(planes, flows_at, meta, d) for d in ladder(meta)]
    seen = [p for p in probes if p.found > 0]
    if not seen:
        return typical_diameter(meta)
    best = max(seen, key=lambda p: p.quality)
    first = bounded(best.found, meta)
    refined = probe(planes, flows_at, meta, first)
    better = refined.found and refined.quality >= best.quality
    return bounded(refined.found, meta) if better else first


def bounded(diameter: float, meta: ModelMeta) -> float:
    """``diameter`` (px) kept to what cells can measure for this network."""
    scale = meta.diameter / 30.0
    return float(min(max(diameter, _SMALLEST * scale), _LARGEST * scale))


def ladder(meta: ModelMeta) -> list[float]:
    """The diameters (px) to assume: the rungs near the sizes it was taught, when they are known."""
    rungs = [d * meta.diameter / 30.0 for d in LADDER]
    known = meta.settings.get("training_diameters", {})
    if not {"low", "high"} <= set(known):
        return rungs
    low, high = known["low"] / _SLACK, known["high"] * _SLACK
    return [d for d in rungs if low <= d <= high] or [typical_diameter(meta)]


def typical_diameter(meta: ModelMeta) -> float:
    """Median diameter (px) of the cells the model was trained on."""
    known = meta.settings.get("training_diameters", {}).get("median")
    return float(known or meta.settings.get("diameter_labels") or meta.diameter)


def probe(planes: Planes, flows_at: FlowsAt, meta: ModelMeta, assumed: float) -> Probe:
    """Run the network as if cells measured ``assumed`` px and judge what comes out."""
    side = int(_SIDE * assumed / meta.diameter)
    outputs, _ = flows_at(_middle(planes, side), assumed)
    flows, cellprob = outputs[:2], outputs[2]
    labels = decode(flows, cellprob, DecodeSettings(flow_threshold=0.0))
    foreground = int((cellprob > 0).sum())
    if not labels.max() or not foreground:
        return Probe(assumed, 0.0, 0.0)
    sizes = diameters(labels)
    errors = flow_errors(labels, flows)
    areas = sizes**2
    good = np.clip(1.0 - errors / 0.4, 0.0, 1.0)
    found = float(np.median(sizes[errors < 0.4])) if (errors < 0.4).any() else 0.0
    covered = float((good * areas).sum() * np.pi / 4 / foreground)
    told = np.exp(-0.5 * (np.log2(max(found, 1e-3) / meta.diameter) / 0.6) ** 2)
    return Probe(assumed, found * assumed / meta.diameter, min(1.0, covered) * float(told))


def _middle(planes: Planes, side: int) -> Planes:
    """The central part of a large image: enough cells to measure, at bounded cost."""
    height, width = planes.shape[1:]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return planes[:, top : top + side, left : left + side]

"""Masks from cached flows: other thresholds for a whole image, or the one cell under a point.

The dynamics are those of ``flows`` (Stringer et al. 2021); no network is needed, so this may run
in the web process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.flow_cache import CachedFlows
from inference.flows import DecodeSettings, decode, follow_flows, seeds_to_masks
from inference.kernels import fill_holes
from inference.labels import cell_geometry

_LOWER = 0.75  # logits by which the threshold sinks until the point lies in a cell
_LEAST = -6.0
_REACH = 3.0  # diameters around the point that are looked at first
_SMALLEST_WINDOW = 48  # px
_LOOKS = 3  # each in a window of twice the reach, while the cell is cut off or not found


@dataclass(frozen=True)
class FoundCell:
    """One cell: the upper left corner of its box, and its mask (h, w) there."""

    x0: int
    y0: int
    mask: NDArray[np.bool_]


def masks_of(
    cached: CachedFlows, cellprob_threshold: float, flow_threshold: float, min_size: int
) -> NDArray[Any]:
    """Label image (H, W) uint16 | uint32 of the whole image at these thresholds."""
    flows, cellprob = cached.window(0, 0, *cached.shape)
    settings = DecodeSettings(flow_threshold, cellprob_threshold, min_size, cached.niter)
    return decode(flows, cellprob, settings)


def cell_at(
    cached: CachedFlows, x: int, y: int, diameter: float, threshold: float = 0.0
) -> FoundCell | None:
    """The cell whose flows hold pixel (``x``, ``y``), or None where nothing flows together.

    The cell probability's threshold sinks from ``threshold`` until the point is inside a cell: a
    cell was missed because the network was unsure of it. ``diameter`` px is the image's.
    """
    height, width = cached.shape
    if not (0 <= x < width and 0 <= y < height):
        return None
    reach = max(_SMALLEST_WINDOW, round(_REACH * diameter))
    found = None
    for _ in range(_LOOKS):
        top, left = max(0, y - reach), max(0, x - reach)
        bottom, right = min(height, y + reach + 1), min(width, x + reach + 1)
        flows, cellprob = cached.window(top, left, bottom, right)
        near = _cell_in(flows, cellprob, (y - top, x - left), threshold, cached.niter)
        if near is not None:
            found = FoundCell(near.x0 + left, near.y0 + top, near.mask)
            if not _cut_off(found, (left, top, right, bottom), cached.shape):
                break
        reach *= 2
    return found


def _cell_in(
    flows: NDArray[np.float32],
    cellprob: NDArray[np.float32],
    at: tuple[int, int],
    threshold: float,
    niter: int,
) -> FoundCell | None:
    level = min(threshold, float(cellprob[at]) - 1e-3)
    while level >= _LEAST:
        inside = cellprob > level
        labels = seeds_to_masks(follow_flows(flows, inside, niter), inside)
        if labels[at]:
            return _cut_out(labels, int(labels[at]))
        level -= _LOWER
    return None


def _cut_out(labels: NDArray[np.int32], label: int) -> FoundCell:
    alone = np.where(labels == label, np.int32(1), np.int32(0))
    boxes = cell_geometry(alone).boxes
    fill_holes(alone, boxes)
    x0, y0, x1, y1 = (int(edge) for edge in boxes[0])
    return FoundCell(x0, y0, alone[y0:y1, x0:x1] > 0)


def _cut_off(found: FoundCell, window: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    """Whether the cell reaches an edge of the window (x0, y0, x1, y1) that is not the image's."""
    x0, y0, x1, y1 = window
    bottom, right = found.y0 + found.mask.shape[0], found.x0 + found.mask.shape[1]
    return (
        (found.x0 <= x0 > 0)
        or (found.y0 <= y0 > 0)
        or (right >= x1 < shape[1])
        or (bottom >= y1 < shape[0])
    )

"""Masks from cached flows: other thresholds for a whole image, or the one cell under a point.

The dynamics are those of ``flows`` (Stringer et al. 2021); no network is needed, so this may run
in the web process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.flow_cache import CachedFlows
from inference.flows import DecodeSettings, decode, follow_flows, seeds_to_masks
from inference.kernels import fill_holes
from inference.labels import cell_geometry

# px. Three times faster than all steps; of 1,540 masks of a 1024² image 1,539 are the same at an
# IoU of 0.9.
_STILL = 0.005
_LOWER = 1.0  # logits by which the threshold sinks if nothing holds the point
_LEVELS = 3
_LEAST = -5.0  # logit below which the network says that this is background
_REACH = 2.5  # diameters around the point that are looked at first
_SMALLEST_WINDOW = 40  # px
_LOOKS = 3  # each in a window of twice the reach, while the cell is cut off
_SMALLEST, _LARGEST = 0.03, 12.0  # of the area of a cell of the image's diameter


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
    settings = DecodeSettings(flow_threshold, cellprob_threshold, min_size, cached.niter, _STILL)
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
    sizes = np.pi / 4 * diameter**2 * np.array([_SMALLEST, _LARGEST])
    found = None
    for _ in range(_LOOKS):
        top, left = max(0, y - reach), max(0, x - reach)
        bottom, right = min(height, y + reach + 1), min(width, x + reach + 1)
        look = _Look(*cached.window(top, left, bottom, right), (y - top, x - left), cached.niter)
        near = _cell_in(look, threshold, (float(sizes[0]), float(sizes[1])))
        if near is None:
            break
        found = FoundCell(near.x0 + left, near.y0 + top, near.mask)
        if not _cut_off(found, (left, top, right, bottom), cached.shape):
            break
        reach *= 2
    return found


@dataclass(frozen=True)
class _Look:
    """A window of the cached flows, and where the point lies in it (row, column)."""

    flows: NDArray[np.float32]
    cellprob: NDArray[np.float32]
    at: tuple[int, int]
    niter: int


def _cell_in(look: _Look, threshold: float, sizes: tuple[float, float]) -> FoundCell | None:
    """The cell at the point, of an area within ``sizes`` px²."""
    level = min(threshold, float(look.cellprob[look.at]) - 1e-3)
    for _ in range(_LEVELS):
        if level < _LEAST:
            return None
        inside = _piece(look.cellprob > level, look.at)
        labels = seeds_to_masks(
            follow_flows(look.flows, inside, look.niter, _STILL), inside, largest=1.0
        )
        if labels[look.at]:
            found = _cut_out(labels, int(labels[look.at]))
            if sizes[0] <= found.mask.sum() <= sizes[1]:
                return found
        level -= _LOWER
    return None


def _piece(inside: NDArray[np.bool_], at: tuple[int, int]) -> NDArray[np.bool_]:
    """The connected piece of ``inside`` that holds ``at``: flows lead nowhere else."""
    pieces = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)[1]
    return np.asarray(pieces == pieces[at])


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

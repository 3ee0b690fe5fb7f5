"""The outline of a cell around a point, from the pixels alone: for places that no network drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Of the cells' diameter:
_REACH = 1.5  # how far is looked to each side
_INNER = 0.3  # radius of what is surely the cell
_OUTER = 0.8  # from which it is surely none
_FARTHEST = 1.1  # of its pixels from the point
_SMOOTH = 0.06  # standard deviation of a blur
_LEVEL = 0.35  # of the difference of the two, where the outline lies
_CLEAR = 6.0  # times the usual difference of pixels around: enough for a plane to decide
_DISC = 0.45  # radius of a disc where no outline is to be seen
_SMALLEST, _LARGEST = 0.2, 2.5  # of the area of a cell of that diameter

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Grown:
    """A mask (h, w) whose upper left pixel is (``x0``, ``y0``) of the image."""

    x0: int
    y0: int
    mask: Mask


def grown_cell(
    image: NDArray[Any], labels: NDArray[Any], at: tuple[float, float], diameter: float
) -> Grown | None:
    """The cell at ``at`` (x, y px) of ``image`` (C, H, W), where ``labels`` (H, W) are 0.

    The first plane decides in which the point stands out clearly from what is around, else the one
    in which it does most; the outline lies where a third of the difference is left. A disc where
    that gives no cell of about the ``diameter`` (px); None where even that finds no room.
    """
    height, width = labels.shape
    column, row = int(at[0]), int(at[1])
    reach = max(3, round(_REACH * diameter))
    y0, x0 = max(0, row - reach), max(0, column - reach)
    place = slice(y0, min(height, row + reach + 1)), slice(x0, min(width, column + reach + 1))
    free = labels[place] == 0
    rows, columns = np.ogrid[place]
    far = np.hypot(rows - at[1], columns - at[0]) / max(diameter, 1.0)
    usual = np.pi / 4 * diameter**2
    inside = _inside(image[(slice(None), *place)], free, far, diameter)
    mask = _piece(inside & free & (far <= _FARTHEST), far)
    if not _SMALLEST * usual <= mask.sum() <= _LARGEST * usual:
        mask = _piece(free & (far <= _DISC), far)
    if not mask.any():
        return None
    mask &= free  # not the cells that lie in its holes
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    return Grown(x0 + box[1].start, y0 + box[0].start, mask[box])


def _inside(window: NDArray[Any], free: Mask, far: NDArray[np.float64], diameter: float) -> Mask:
    """Pixels nearer in light to the point than to what lies around it."""
    inner, outer = free & (far <= _INNER), free & (far >= _OUTER)
    best, found = 0.0, np.zeros(free.shape, bool)
    if not inner.any() or not outer.any():
        return found
    for plane in window:
        sigma = max(0.5, _SMOOTH * diameter)
        smooth = cv2.GaussianBlur(
            plane.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
        )
        here, around = float(np.median(smooth[inner])), float(np.median(smooth[outer]))
        spread = float(np.median(np.abs(smooth[outer] - around)))
        contrast = abs(here - around) / (spread + 1e-6 * abs(around) + 1e-12)
        # A nucleus stands out more, but is not the cell: the cytoplasm comes first.
        if contrast > best and best < _CLEAR:
            best, level = contrast, around + _LEVEL * (here - around)
            found = smooth > level if here > around else smooth < level
    return found


def _piece(mask: Mask, far: NDArray[np.float64]) -> Mask:
    """The connected piece of ``mask`` nearest to the point, its holes filled."""
    if not mask.any():
        return mask
    pieces, _ = ndimage.label(mask)
    nearest = np.argmin(np.where(mask, far, np.inf))
    return np.asarray(ndimage.binary_fill_holes(pieces == pieces.ravel()[nearest]))

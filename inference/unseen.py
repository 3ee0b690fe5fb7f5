"""Places that look like cells in the pixels themselves and that no mask shows.

A network that has never seen a kind of image may see nothing in it, and then has no doubt either.
Blobs of the cells' size need no network: peaks of a difference of Gaussians (Lindeberg 1998; as
a detector of cells e.g. Kong et al. 2013). Where masks lie on nearly all of an image's peaks, the
others are dust or gaps; where they lie on none, the model is blind to these cells. So each place
is suspected the more, the more of the image's peaks are without masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.doubt import Spot

Floats = NDArray[np.float32]

_SIDE = 10.0  # px of a cell's diameter where peaks are looked for; larger images are made smaller
_NARROW, _WIDE = 0.28, 0.45  # of the diameter, standard deviations: together of a disc that size
_ABOVE_NOISE = 6.0  # standard deviations
_LEAST = 0.02  # contrast, of the span that ``normalize`` makes 1
_APART = 0.35  # of the diameter: of nearer peaks the highest counts
_MASKED = 3  # peaks with masks from which these say how high a cell's is
_AS_HIGH = 0.5  # times the median of those: lower ones are no cells
_MOST = 200  # places told of an image
_SAME = 0.5  # of the diameter: how near a place that was told otherwise may lie


@dataclass(frozen=True)
class Peak:
    """Something of a cell's size: its middle (px), how high it is, whether a mask shows it, and
    whether it was told of otherwise.
    """

    x: float
    y: float
    height: float  # contrast, of the span that ``normalize`` makes 1
    masked: bool
    told: bool


def unseen_cells(
    planes: Floats, labels: NDArray[Any], diameter: float, told: Sequence[Spot] = ()
) -> list[Spot]:
    """``suspected`` of the ``peaks`` of one image."""
    return suspected(peaks(planes, labels, diameter, told))


def suspected(found: Sequence[Peak]) -> list[Spot]:
    """(x, y, cells) px of an image's peaks outside all masks, the highest first.

    ``cells`` is the root of the share of the peaks that no mask shows, 0 … 1, the same for each.
    """
    masked = [peak.height for peak in found if peak.masked]
    least = _AS_HIGH * float(np.median(masked)) if len(masked) >= _MASKED else 0.0
    high = [peak for peak in found if peak.masked or peak.height >= least]
    free = [peak for peak in high if not peak.masked]
    if not free:
        return []
    cells = float(np.sqrt(len(free) / len(high)))
    free.sort(key=lambda peak: -peak.height)
    return [(peak.x, peak.y, cells) for peak in free if not peak.told][:_MOST]


def peaks(
    planes: Floats, labels: NDArray[Any], diameter: float, told: Iterable[Spot] = ()
) -> list[Peak]:
    """All peaks of an image, or of a window of it.

    ``planes`` (C, H, W) as ``normalize`` gives them, ``labels`` (H, W), ``diameter`` px of the
    cells; ``told``: places that are suspected already.
    """
    zoom = min(1.0, _SIDE / max(diameter, 1.0))
    heights = _heights(planes, zoom, diameter * zoom)
    rows, columns = _highest(heights, diameter * zoom)
    masked = _near_masks(labels, heights.shape)[rows, columns]
    scale_y, scale_x = (a / b for a, b in zip(labels.shape, heights.shape, strict=True))
    x, y = (columns + 0.5) * scale_x, (rows + 0.5) * scale_y
    known = np.zeros(rows.size, bool)
    for spot_x, spot_y, cells in told:
        reach = _SAME * diameter * np.sqrt(max(1.0, cells))  # one place may stand for several cells
        known |= np.hypot(x - spot_x, y - spot_y) <= reach
    columns_of = (x, y, heights[rows, columns], masked, known)
    return [Peak(*each) for each in zip(*(values.tolist() for values in columns_of), strict=True)]


def _heights(planes: Floats, zoom: float, diameter: float) -> Floats:
    """(h, w): the highest response of the planes; 0 where all are noise."""
    height, width = planes.shape[1:]
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    found = np.zeros(size[::-1], np.float32)
    for plane in planes:
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        response = _blobs(small, diameter)
        # Cells are rarer than what lies between them: their side is the longer tail.
        if np.mean((response - response.mean()) ** 3) < 0:
            response = -response
        sure = response > max(_LEAST, _ABOVE_NOISE * _noise(small, diameter))
        np.maximum(found, np.where(sure, response, 0), out=found)
    return found


def _blobs(plane: Floats, diameter: float) -> Floats:
    """Difference of two Gaussians."""
    narrow, wide = (
        cv2.GaussianBlur(plane, (0, 0), sigma * diameter, borderType=cv2.BORDER_REFLECT)
        for sigma in (_NARROW, _WIDE)
    )
    return np.asarray(narrow - wide, np.float32)


def _noise(plane: Floats, diameter: float) -> float:
    """Standard deviation that white noise as strong as the plane's has among the responses.

    How strong it is, second differences across rows and columns say (Immerkær 1996).
    """
    crossed = np.diff(np.diff(plane, axis=0), axis=1)
    if not crossed.size:
        return 0.0
    side = 2 * round(4 * _WIDE * diameter) + 1
    point = np.zeros((side, side), np.float32)
    point[side // 2, side // 2] = 1.0
    gain = float(np.sqrt(np.square(_blobs(point, diameter)).sum()))
    return float(np.median(np.abs(crossed)) / 0.6745 / 2) * gain


def _highest(heights: Floats, diameter: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels above 0 that are the highest around."""
    radius = max(1, round(_APART * diameter))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    rows, columns = np.nonzero((heights > 0) & (heights >= cv2.dilate(heights, disc)))
    return rows, columns


def _near_masks(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where masks lie, or a pixel or two beside, at ``shape`` (h, w)."""
    masks = cv2.resize((labels > 0).astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dilate((masks >= 0.25).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)

"""A cell's mask as an outline that a browser can draw. Numpy and OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128  # of the square in whose whole numbers an outline is given
_TOLERANCE = 0.8  # of those units: corners that matter less are left out


def outline(mask: NDArray[np.bool_]) -> str:
    """The borders of a square mask (n, n) as an SVG path in a square of ``SIDE`` units."""
    large = cv2.resize(
        mask.astype(np.float32),
        (SIDE, SIDE),
        interpolation=cv2.INTER_AREA if len(mask) > SIDE else cv2.INTER_LINEAR,
    )
    found, _ = cv2.findContours(
        (large >= 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return "".join(_path(cv2.approxPolyDP(border, _TOLERANCE, True)) for border in found)


def _path(corners: NDArray[Any]) -> str:
    points = [f"{x} {y}" for x, y in corners.reshape(-1, 2).tolist()]
    return f"M{'L'.join(points)}Z"

"""Windows of images: how large, where they may lie, what they have in them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training.oracle import Rectangle

_DIAMETERS = 5  # cell diameters on the side of a window


def window_side(diameter: float) -> int:
    """Px of a window where cells measure ``diameter`` px."""
    return round(_DIAMETERS * diameter)


def windows(shape: tuple[int, int], side: int, offset: NDArray[np.integer]) -> Iterator[Rectangle]:
    """Windows of ``side`` px half of one apart, the grid displaced by ``offset`` px."""
    spans = []
    for length, away in zip(shape, offset.tolist(), strict=True):
        last = max(0, length - side)
        starts = {min(last, start) for start in range(-away, length - side // 2, side // 2)}
        spans.append(sorted({max(0, start) for start in starts}) or [0])
    for y, x in product(*spans):
        yield x, y, min(shape[1], x + side), min(shape[0], y + side)


def overlap(one: Rectangle, other: Rectangle) -> bool:
    """Whether they have a pixel in common."""
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(
        one[3], other[3]
    )


def lies_in(middles: NDArray[np.float64], box: Rectangle) -> NDArray[np.bool_]:
    """Of each of ``middles`` (n, 2), x, y px, whether ``box`` has it."""
    x, y = middles[:, 0], middles[:, 1]
    return np.asarray((x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3]))

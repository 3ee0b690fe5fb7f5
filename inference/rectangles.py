"""Regions of an image as rectangles [x0, y0, x1, y1], px, half-open. Numpy only.

Complete regions are stored as rectangles; a cell's surroundings are not one. They are cut into
runs of rows here, and never cover a pixel that they should not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # (H, W)
Boxes = NDArray[Any]  # integers, (n, 4)
Rectangle = list[int]

_BANDS = (1, 2, 4, 8, 16)  # rows that are cut alike, when there would be too many rectangles
_ROWS = 3  # that are cut alike where there is room
_AT_ONCE = 1 << 20  # pairs of a box and a region that are compared at a time


def painted(regions: Sequence[Sequence[int]], box: Sequence[int]) -> Mask:
    """Which pixels of the window ``box`` the regions cover: (y1 − y0, x1 − x0)."""
    left, top, right, bottom = box
    mask = np.zeros((bottom - top, right - left), bool)
    for x0, y0, x1, y1 in regions:
        mask[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = True
    return mask


def grown(mask: Mask, by: int) -> Mask:
    """``mask`` and all pixels up to ``by`` rows or columns from it."""
    for axis in (0, 1):
        wide = mask.copy()
        for shift in range(1, min(by, mask.shape[axis] - 1) + 1):
            ahead = [slice(None), slice(None)]
            behind = [slice(None), slice(None)]
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            wide[tuple(ahead)] |= mask[tuple(behind)]
            wide[tuple(behind)] |= mask[tuple(ahead)]
        mask = wide
    return mask


def rectangles(mask: Mask, most: int, at: tuple[int, int] = (0, 0)) -> list[Rectangle]:
    """Disjoint rectangles that cover ``mask`` and nothing else, moved by ``at`` (x, y).

    Where that takes more than ``most`` of them, pixels at the edges are left out: the rows are cut
    in bands, and of the bands' rectangles the largest are taken, whichever bands cover most.
    """
    best: list[Rectangle] = []
    for band in _BANDS:
        found = _runs(_in_bands(mask, band))
        if len(found) <= most and band == 1:
            best = found
            break
        found = sorted(found, key=area, reverse=True)[: max(0, most)]
        if sum(map(area, found)) > sum(map(area, best)):
            best = found
    x, y = at
    return [[x0 + x, y0 + y, x1 + x, y1 + y] for x0, y0, x1, y1 in best]


def few_rectangles(least: Mask, greatest: Mask, at: tuple[int, int] = (0, 0)) -> list[Rectangle]:
    """Disjoint rectangles that cover all of ``least`` and nothing beyond ``greatest``.

    Fewer than for one of them alone: where the two leave room, some rows are cut alike.
    """
    height = least.shape[0]
    below = ((0, -height % _ROWS), (0, 0))
    wide = np.pad(least, below).reshape(-1, _ROWS, least.shape[1]).any(axis=1)
    room = np.pad(greatest, below, constant_values=True)
    wide &= room.reshape(-1, _ROWS, least.shape[1]).all(axis=1)
    cut = np.repeat(wide, _ROWS, axis=0)[:height]
    x, y = at
    found = [*_runs(cut), *_runs(least & ~cut)]
    return [[x0 + x, y0 + y, x1 + x, y1 + y] for x0, y0, x1, y1 in found]


def area(box: Sequence[int]) -> int:
    """Pixels of a rectangle."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _in_bands(mask: Mask, rows: int) -> Mask:
    """In each band of ``rows`` only the columns that the mask has in all of its rows."""
    if rows == 1:
        return mask
    height = mask.shape[0]
    filled = np.pad(mask, ((0, -height % rows), (0, 0)), constant_values=True)
    narrow = filled.reshape(-1, rows, mask.shape[1]).all(axis=1)
    return np.repeat(narrow, rows, axis=0)[:height]


def _runs(mask: Mask) -> list[Rectangle]:
    """One rectangle per run of a row; runs of equal columns in neighbouring rows are one."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    found: list[Rectangle] = []
    open_runs: dict[tuple[int, int], Rectangle] = {}  # those that reach down to the row before
    row = -1
    here: dict[tuple[int, int], Rectangle] = {}
    for y, x0, x1 in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        if y != row:
            open_runs, here, row = (here if y == row + 1 else {}), {}, y
        known = open_runs.get((x0, x1))
        if known is None:
            known = [x0, y, x1, y]
            found.append(known)
        known[3] = y + 1
        here[x0, x1] = known
    return found


def covered(boxes: Boxes, regions: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Pixels of each box (n, 4) that the regions cover; what several cover counts several times."""
    found = np.zeros(len(boxes), np.int64)
    if not len(boxes) or not len(regions):
        return found
    areas = np.asarray(regions, np.int64)
    step = max(1, _AT_ONCE // len(areas))
    for start in range(0, len(boxes), step):
        some = np.asarray(boxes[start : start + step], np.int64)[:, None]
        sides = np.minimum(some[..., 2:], areas[None, :, 2:]) - np.maximum(
            some[..., :2], areas[None, :, :2]
        )
        found[start : start + step] = np.prod(np.maximum(sides, 0), axis=2).sum(axis=1)
    return found


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """The IoU of each box of ``a`` (n, 4) with the one of ``b`` (n, 4) in its row: (n,)."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    both = sum(np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (first, second))
    return np.asarray(shared / np.maximum(both - shared, 1e-9))


def matched(boxes: Boxes, others: Boxes, least: float) -> NDArray[np.intp]:
    """For each box (n, 4) the row of the box of ``others`` (m, 4) most like it: (n,).

    −1 where none has an IoU of ``least``.
    """
    found = np.full(len(boxes), -1, np.intp)
    if not len(boxes) or not len(others):
        return found
    step = max(1, _AT_ONCE // len(others))
    for start in range(0, len(boxes), step):
        some = np.asarray(boxes[start : start + step])
        pairs = np.repeat(some, len(others), axis=0), np.tile(others, (len(some), 1))
        iou = overlaps(*pairs).reshape(len(some), len(others))
        best = iou.argmax(axis=1)
        found[start : start + step] = np.where(iou.max(axis=1) >= least, best, -1)
    return found

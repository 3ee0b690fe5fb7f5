"""The inner loops of ``flows``, compiled by numba. Each works on a range [low, high) of cells or
points and touches nothing outside it, so several threads may share the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def heat_flows(
    labels: NDArray[np.int32],
    boxes: NDArray[np.int32],
    low: int,
    high: int,
    flows: NDArray[np.float32],
) -> None:
    """Flows of the cells with ids low + 1 … high into ``flows`` (2, H, W); see masks_to_flows."""
    for cell in range(low, high):
        x0, y0, x1, y1 = boxes[cell]
        inside = np.zeros((y1 - y0 + 2, x1 - x0 + 2))  # with an empty rim
        for y in range(y0, y1):
            for x in range(x0, x1):
                if labels[y, x] == cell + 1:
                    inside[y - y0 + 1, x - x0 + 1] = 1.0
        ys, xs = np.nonzero(inside)
        centre = int(np.argmin((xs - xs.mean()) ** 2 + (ys - ys.mean()) ** 2))
        heat = diffuse(inside, ys[centre], xs[centre])
        for k in range(ys.size):
            y, x = ys[k], xs[k]
            dy = heat[y + 1, x] - heat[y - 1, x]
            dx = heat[y, x + 1] - heat[y, x - 1]
            length = 1e-60 + np.sqrt(dy * dy + dx * dx)
            flows[0, y0 + y - 1, x0 + x - 1] = dy / length
            flows[1, y0 + y - 1, x0 + x - 1] = dx / length


@njit(cache=True, nogil=True)
def diffuse(inside: NDArray[np.float64], cy: int, cx: int) -> Any:
    """Heat of a cell, ``inside`` (h, w) of 0 and 1 with an empty rim, fed at (cy, cx) each step.

    The mean of 3 × 3 pixels is taken by rows, then by columns, over the whole box: plain loops
    over neighbouring numbers, which the compiler turns into vector instructions.
    """
    height, width = inside.shape
    heat = np.zeros((height, width))
    rows = np.zeros((height, width))
    share = inside / 9.0
    for _ in range(2 * (height + width)):
        heat[cy, cx] += 1.0
        for y in range(height):
            for x in range(1, width - 1):
                rows[y, x] = heat[y, x - 1] + heat[y, x] + heat[y, x + 1]
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                heat[y, x] = (rows[y - 1, x] + rows[y, x] + rows[y + 1, x]) * share[y, x]
    return heat


@njit(cache=True, nogil=True)
def euler(
    field: NDArray[np.float32],
    points: NDArray[np.float32],
    low: int,
    high: int,
    niter: int,
    still: float,
) -> None:
    """Move points low … high of (2, n) along ``field`` (H, W, 2) in place, inside the image.

    A point rests once a step moves it by no more than ``still`` px along either axis. Most points
    end by going to and fro between two places: where the rest of the steps leaves them is known
    then, to the last bit.
    """
    height, width = field.shape[0], field.shape[1]
    bottom, right = np.float32(height - 1), np.float32(width - 1)
    for k in range(low, high):
        py, px = points[0, k], points[1, k]
        before_y = before_x = np.float32(-1.0)
        for step in range(niter):
            y, x = int(py), int(px)
            fy, fx = float(py) - y, float(px) - x
            below, beside = min(height - 1, y + 1), min(width - 1, x + 1)
            a, b = (1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx
            c, d = fy * (1.0 - fx), fy * fx
            dy = np.float32(
                field[y, x, 0] * a
                + field[y, beside, 0] * b
                + field[below, x, 0] * c
                + field[below, beside, 0] * d
            )
            dx = np.float32(
                field[y, x, 1] * a
                + field[y, beside, 1] * b
                + field[below, x, 1] * c
                + field[below, beside, 1] * d
            )
            next_y = min(bottom, max(np.float32(0.0), np.float32(py + dy)))
            next_x = min(right, max(np.float32(0.0), np.float32(px + dx)))
            if next_y == before_y and next_x == before_x:
                if (niter - step) % 2 == 1:
                    py, px = next_y, next_x
                break
            before_y, before_x = py, px
            py, px = next_y, next_x
            if abs(dy) <= still and abs(dx) <= still:
                break
        points[0, k], points[1, k] = py, px


@njit(cache=True, nogil=True)
def peaks(histogram: NDArray[np.int32]) -> Any:
    """Positions (n, 2) of bins above 10 that no bin of their 5 × 5 neighbourhood exceeds."""
    height, width = histogram.shape
    found = []
    for y in range(height):
        for x in range(width):
            value = histogram[y, x]
            if value <= 10:
                continue
            top = True
            for v in range(max(0, y - 2), min(height, y + 3)):
                for u in range(max(0, x - 2), min(width, x + 3)):
                    if histogram[v, u] > value:
                        top = False
            if top:
                found.append((y, x))
    result = np.empty((len(found), 2), np.int64)
    for k in range(len(found)):
        result[k, 0], result[k, 1] = found[k]
    return result


@njit(cache=True, nogil=True)
def grow(histogram: NDArray[np.int32], seeds: NDArray[np.int64]) -> Any:
    """Basins 1 … n of ``seeds`` (n, 2) on the histogram; later seeds overwrite earlier ones."""
    basins = np.zeros(histogram.shape, np.int32)
    for k in range(seeds.shape[0]):
        sy, sx = seeds[k]
        window = np.zeros((13, 13), np.bool_)  # 11 × 11 with an empty rim
        window[6, 6] = True
        for _ in range(5):
            grown = np.zeros((13, 13), np.bool_)
            for v in range(1, 12):
                for u in range(1, 12):
                    if histogram[sy + v - 6, sx + u - 6] > 2:
                        grown[v, u] = window[v - 1 : v + 2, u - 1 : u + 2].any()
            window = grown
        for v in range(1, 12):
            for u in range(1, 12):
                if window[v, u]:
                    basins[sy + v - 6, sx + u - 6] = k + 1
    return basins


@njit(cache=True, nogil=True)
def renumber(labels: NDArray[np.int32]) -> Any:
    """``labels`` with ids 1 … n in the order in which the cells appear row by row."""
    fresh = np.zeros_like(labels)
    table = np.zeros(labels.max() + 1, np.int32)
    count = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            old = labels[y, x]
            if old > 0:
                if table[old] == 0:
                    count += 1
                    table[old] = count
                fresh[y, x] = table[old]
    return fresh


@njit(cache=True, nogil=True)
def fill_holes(labels: NDArray[np.int32], boxes: NDArray[np.int32]) -> None:
    """Give each cell, in order of ids, the pixels its outline encloses (4-connected), in place."""
    for cell in range(boxes.shape[0]):
        x0, y0, x1, y1 = boxes[cell]
        height, width = y1 - y0 + 2, x1 - x0 + 2
        outside = np.zeros((height, width), np.bool_)
        stack = np.empty((height * width, 2), np.int32)
        stack[0, 0], stack[0, 1] = 0, 0
        outside[0, 0] = True
        top = 1
        while top > 0:
            top -= 1
            y, x = stack[top]
            for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                v, u = y + dy, x + dx
                if v < 0 or u < 0 or v >= height or u >= width or outside[v, u]:
                    continue
                rim = v == 0 or u == 0 or v == height - 1 or u == width - 1
                if rim or labels[y0 + v - 1, x0 + u - 1] != cell + 1:
                    outside[v, u] = True
                    stack[top, 0], stack[top, 1] = v, u
                    top += 1
        for y in range(y0, y1):
            for x in range(x0, x1):
                if not outside[y - y0 + 1, x - x0 + 1]:
                    labels[y, x] = cell + 1

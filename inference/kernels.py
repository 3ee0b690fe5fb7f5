"""The inner loops of ``flows``, compiled by numba. Each works on a range [low, high) of cells or
points and touches nothing outside it, so several threads may share the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

NETWORK_SCALE = np.float32(5.0)  # the network's flows are unit vectors times five
BLOCK = 32  # points that ``euler`` moves together


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
        ys, xs, heat = _heated(labels, boxes, cell)
        y0, x0 = boxes[cell, 1] - 1, boxes[cell, 0] - 1
        for k in range(ys.size):
            dy, dx = _slope(heat, ys[k], xs[k])
            flows[0, y0 + ys[k], x0 + xs[k]] = dy
            flows[1, y0 + ys[k], x0 + xs[k]] = dx


@njit(cache=True, nogil=True)
def heat_errors(
    labels: NDArray[np.int32],
    boxes: NDArray[np.int32],
    low: int,
    high: int,
    flows: NDArray[np.float32],
    errors: NDArray[np.float64],
) -> None:
    """Into ``errors`` (n,): how far the network's ``flows`` (2, H, W) are from ``heat_flows``, mean
    squared over each cell's pixels.
    """
    for cell in range(low, high):
        ys, xs, heat = _heated(labels, boxes, cell)
        y0, x0 = boxes[cell, 1] - 1, boxes[cell, 0] - 1
        total = 0.0
        for k in range(ys.size):
            dy, dx = _slope(heat, ys[k], xs[k])
            off_y = np.float32(dy) - flows[0, y0 + ys[k], x0 + xs[k]] / NETWORK_SCALE
            off_x = np.float32(dx) - flows[1, y0 + ys[k], x0 + xs[k]] / NETWORK_SCALE
            total += off_y * off_y + off_x * off_x
        errors[cell] = total / ys.size


@njit(cache=True, nogil=True)
def _heated(labels: NDArray[np.int32], boxes: NDArray[np.int32], cell: int) -> Any:
    """Of the cell with id cell + 1, in its box with an empty rim: rows, columns, and the heat."""
    x0, y0, x1, y1 = boxes[cell]
    inside = np.zeros((y1 - y0 + 2, x1 - x0 + 2))
    for y in range(y0, y1):
        for x in range(x0, x1):
            if labels[y, x] == cell + 1:
                inside[y - y0 + 1, x - x0 + 1] = 1.0
    ys, xs = np.nonzero(inside)
    centre = int(np.argmin((xs - xs.mean()) ** 2 + (ys - ys.mean()) ** 2))
    return ys, xs, diffuse(inside, ys[centre], xs[centre])


@njit(cache=True, nogil=True)
def _slope(heat: NDArray[np.float64], y: int, x: int) -> Any:
    dy = heat[y + 1, x] - heat[y - 1, x]
    dx = heat[y, x + 1] - heat[y, x - 1]
    length = 1e-60 + np.sqrt(dy * dy + dx * dx)
    return dy / length, dx / length


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


@njit(cache=True, nogil=True, error_model="numpy")
def euler(
    field: NDArray[np.float32],
    points: NDArray[np.float32],
    low: int,
    high: int,
    niter: int,
    still: float,
) -> None:
    """Move points low … high of (2, n) along ``field`` (2, H, W) in place, inside the image.

    ``BLOCK`` points go together, in short loops over neighbouring numbers: while one point waits
    for memory the others go on, and the compiler makes vector instructions of the arithmetic. A
    block rests once all its points do, which is when a step moves them by no more than ``still``
    px along either axis. Most points end by going to and fro between two places: where the rest
    of the steps leaves them is known then, to the last bit.
    """
    width, size = field.shape[2], field.shape[1] * field.shape[2]
    flat = field.reshape((2, size))
    edge = np.array([field.shape[1] - 1, width - 1], np.float32)
    now, before = np.empty((2, BLOCK), np.float32), np.empty((2, BLOCK), np.float32)
    part = np.empty((2, BLOCK), np.float32)
    corners = np.empty((4, BLOCK), np.uint32)
    values = np.empty((2, 4, BLOCK), np.float32)
    for start in range(low, high, BLOCK):
        count = min(BLOCK, high - start)
        for axis in range(2):
            for k in range(BLOCK):
                now[axis, k] = points[axis, start + min(k, count - 1)]
                before[axis, k] = -1.0
        for step in range(niter):
            _locate(now, part, corners, np.int32(width), edge)
            _gather(flat, corners, values)
            resting, cycling = _move(now, before, part, values, edge, np.float32(still))
            if cycling == BLOCK and (niter - step) % 2 == 0:
                now, before = before, now
            if resting == BLOCK or cycling == BLOCK:
                break
        points[:, start : start + count] = now[:, :count]


@njit(cache=True, nogil=True, error_model="numpy")
def _locate(
    now: NDArray[np.float32],
    part: NDArray[np.float32],
    corners: NDArray[np.uint32],
    width: np.int32,
    edge: NDArray[np.float32],
) -> None:
    """The four pixels around each point, and how far it is from the first of them."""
    last_row, last_column = np.int32(edge[0]), np.int32(edge[1])
    for k in range(BLOCK):
        y, x = np.int32(now[0, k]), np.int32(now[1, k])
        part[0, k], part[1, k] = now[0, k] - np.float32(y), now[1, k] - np.float32(x)
        at = y * width + x
        right, down = np.int32(x < last_column), np.int32(y < last_row) * width
        corners[0, k] = np.uint32(at)
        corners[1, k] = np.uint32(at + right)
        corners[2, k] = np.uint32(at + down)
        corners[3, k] = np.uint32(at + right + down)


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(
    flat: NDArray[np.float32], corners: NDArray[np.uint32], values: NDArray[np.float32]
) -> None:
    """The field at those pixels."""
    for k in range(BLOCK):
        a, b, c, d = corners[0, k], corners[1, k], corners[2, k], corners[3, k]
        values[0, 0, k], values[0, 1, k] = flat[0, a], flat[0, b]
        values[0, 2, k], values[0, 3, k] = flat[0, c], flat[0, d]
        values[1, 0, k], values[1, 1, k] = flat[1, a], flat[1, b]
        values[1, 2, k], values[1, 3, k] = flat[1, c], flat[1, d]


@njit(cache=True, nogil=True, error_model="numpy")
def _move(
    now: NDArray[np.float32],
    before: NDArray[np.float32],
    part: NDArray[np.float32],
    values: NDArray[np.float32],
    edge: NDArray[np.float32],
    still: np.float32,
) -> Any:
    """One step by bilinear interpolation; how many points rest, and are back where they were
    before the last step.
    """
    resting = cycling = np.int32(0)
    bottom, right, zero = edge[0], edge[1], np.float32(0.0)
    for k in range(BLOCK):
        fy, fx = part[0, k], part[1, k]
        above = values[0, 0, k] + fx * (values[0, 1, k] - values[0, 0, k])
        below = values[0, 2, k] + fx * (values[0, 3, k] - values[0, 2, k])
        dy = above + fy * (below - above)
        above = values[1, 0, k] + fx * (values[1, 1, k] - values[1, 0, k])
        below = values[1, 2, k] + fx * (values[1, 3, k] - values[1, 2, k])
        dx = above + fy * (below - above)
        y, x = now[0, k] + dy, now[1, k] + dx
        # What is no number becomes zero too: it must not become an index.
        y = y if y > zero else zero
        y = bottom if y > bottom else y
        x = x if x > zero else zero
        x = right if x > right else x
        resting += np.int32((abs(dy) <= still) & (abs(dx) <= still))
        cycling += np.int32((y == before[0, k]) & (x == before[1, k]))
        before[0, k], before[1, k] = now[0, k], now[1, k]
        now[0, k], now[1, k] = y, x
    return resting, cycling


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
def areas(labels: NDArray[np.int32], count: int) -> Any:
    """Pixels of the ids 0 … count."""
    found = np.zeros(count + 1, np.int64)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            found[labels[y, x]] += 1
    return found


@njit(cache=True, nogil=True)
def keep(labels: NDArray[np.int32], kept: NDArray[np.bool_]) -> None:
    """Make the ids that are not ``kept`` (by id) background, in place."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if not kept[labels[y, x]]:
                labels[y, x] = 0


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

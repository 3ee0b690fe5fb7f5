"""Masks ↔ flow fields: targets for training, and the dynamics that turn flows into instances.

The algorithms are those of cellpose (Stringer et al., Nature Methods 18, 2021, Methods) with the
numbers of cellpose 3, so that its checkpoints give the same masks here. Arrays in, arrays out.
Flow fields are (2, H, W), rows first: dy, dx. The compiled kernels release the GIL.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import kernels
from inference.labels import cell_geometry, compact

_THREADS = min(8, os.cpu_count() or 1)
_MARGIN = 20  # px around the histogram of end points
_LARGEST = 0.4  # of the image: a mask above this is background that flowed together
_CHUNK = 4096  # points per piece of work


@dataclass(frozen=True)
class DecodeSettings:
    """Cellpose's knobs of the step from flows to masks."""

    flow_threshold: float = 0.4  # largest error of a kept mask; 0 keeps all
    cellprob_threshold: float = 0.0  # logits
    min_size: int = 15  # px²
    niter: int = 200  # Euler steps
    still: float = 0.0  # px: a point that moves no further in a step rests; 0 = cellpose's result


def masks_to_flows(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Unit flow vectors (2, H, W) towards each cell's centre along its simulated heat.

    Heat starts at the cell's pixel nearest to its mean position and diffuses over the 3 × 3
    neighbourhood inside the cell for 2 (height + width) steps of its box padded by 1 px; flows
    are the central differences of the heat, scaled to length one. Background is zero.
    """
    index, _ = compact(labels)
    index = index.astype(np.int32)
    boxes = cell_geometry(index).boxes
    flows = np.zeros((2, *index.shape), np.float32)
    _spread(lambda low, high: kernels.heat_flows(index, boxes, low, high, flows), len(boxes), 16)
    return flows


def follow_flows(
    flows: NDArray[np.float32], inside: NDArray[np.bool_], niter: int, still: float = 0.0
) -> NDArray[np.int32]:
    """Where each pixel of ``inside`` (n, raster order) ends after ``niter`` Euler steps.

    ``flows`` are the network's (five times unit length) and count only inside. Bilinear
    interpolation, end points truncated to whole pixels: (2, n). Points rest early once a step is
    no longer than ``still`` px; at 0 the result is that of all steps.
    """
    field = np.ascontiguousarray(flows * inside / kernels.NETWORK_SCALE)
    points = np.stack(np.nonzero(inside)).astype(np.float32)
    _spread(
        lambda low, high: kernels.euler(field, points, low, high, niter, still),
        points.shape[1],
        _CHUNK,
    )
    return points.astype(np.int32)


def seeds_to_masks(
    ends: NDArray[np.int32], inside: NDArray[np.bool_], largest: float = _LARGEST
) -> NDArray[np.int32]:
    """Label image (H, W) of pixels whose end points share a peak of the end points' histogram.

    A peak is a 5 × 5 maximum above 10 points; it grows in five 3 × 3 steps over bins with more
    than 2 points, larger peaks taking precedence. Masks beyond ``largest``, a share of the image,
    are dropped.
    """
    height, width = inside.shape
    at = ends + _MARGIN
    size = height + 2 * _MARGIN, width + 2 * _MARGIN
    bins = at[0] * size[1] + at[1]
    histogram = np.bincount(bins, minlength=size[0] * size[1]).astype(np.int32).reshape(size)
    peaks = kernels.peaks(histogram)
    order = np.argsort(histogram[peaks[:, 0], peaks[:, 1]], kind="stable")
    basins = kernels.grow(histogram, peaks[order])
    labels = np.zeros((height, width), np.int32)
    labels[inside] = basins.ravel()[bins]
    counts = kernels.areas(labels, int(basins.max()))
    counts[0] = 0
    kernels.keep(labels, counts <= largest * labels.size)
    return kernels.renumber(labels)


def flow_errors(labels: NDArray[Any], flows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean squared difference per cell (n,), in order of ids, between the network's ``flows`` and
    the flows its mask would have: cellpose's test of a mask's consistency.
    """
    return _errors(compact(labels)[0].astype(np.int32), flows)


def _errors(index: NDArray[np.int32], flows: NDArray[np.float32]) -> NDArray[np.float64]:
    """``flow_errors`` of ids 1 … n without gaps."""
    boxes = cell_geometry(index).boxes
    errors = np.zeros(len(boxes))
    _spread(
        lambda low, high: kernels.heat_errors(index, boxes, low, high, flows, errors),
        len(boxes),
        16,
    )
    return errors


def fill_and_filter(labels: NDArray[Any], min_size: int) -> NDArray[Any]:
    """Holes filled, cells under ``min_size`` px² dropped before and after, ids 1 … n."""
    kept = kernels.renumber(_without_small(labels.astype(np.int32), min_size))
    kernels.fill_holes(kept, cell_geometry(kept).boxes)
    final = kernels.renumber(_without_small(kept, min_size))
    return final.astype(np.uint16 if int(final.max(initial=0)) <= 0xFFFF else np.uint32)


def decode(
    flows: NDArray[np.float32], cellprob: NDArray[np.float32], settings: DecodeSettings
) -> NDArray[Any]:
    """Label image (uint16 or uint32) from the network's flows (2, H, W) and logits (H, W)."""
    inside = cellprob > settings.cellprob_threshold
    if not inside.any():
        return np.zeros(cellprob.shape, np.uint16)
    labels = seeds_to_masks(follow_flows(flows, inside, settings.niter, settings.still), inside)
    if settings.flow_threshold > 0 and labels.max() > 0:
        good = _errors(labels, flows) <= settings.flow_threshold
        kernels.keep(labels, np.concatenate([[True], good]))
    return fill_and_filter(labels, settings.min_size)


def _without_small(labels: NDArray[np.int32], min_size: int) -> NDArray[np.int32]:
    kept = kernels.areas(labels, int(labels.max(initial=0))) >= min_size
    kept[0] = True
    kernels.keep(labels, kept)
    return labels


def _spread(work: Callable[[int, int], None], count: int, least: int) -> None:
    """``work(low, high)`` over 0 … ``count`` in threads, pieces of at least ``least``."""
    if count == 0:
        return
    step = max(least, -(-count // (4 * _THREADS)))
    step += -step % least  # blocks of points do not depend on the number of threads
    pieces = [(low, min(count, low + step)) for low in range(0, count, step)]
    if len(pieces) == 1:
        work(*pieces[0])
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda piece: work(*piece), pieces))

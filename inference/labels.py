"""Label images: 2-D arrays of integers, one per cell instance, 0 = background. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]  # integer, (H, W)

_DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
_SMALL_TABLE = 1 << 16  # a lookup table up to here is always cheaper than sorting
_TABLE_PER_VALUE = 16  # up to so many entries for each value to be looked up it is, too


class LabelsError(ValueError):
    """An array that is no label image of the expected shape."""


@dataclass(frozen=True)
class CellGeometry:
    """Where the cells of a label image lie, one row per id in ascending order (px)."""

    labels: NDArray[np.int64]  # (n,)
    boxes: NDArray[np.int32]  # (n, 4) x0, y0, x1, y1, half-open
    areas: NDArray[np.int64]  # (n,)
    centroids: NDArray[np.float64]  # (n, 2) x, y of the mean pixel centre
    # (n, 2) x, y of the pixel nearest to the centroid, which is none of a cell bent around it
    inner: NDArray[np.int64]


def validate(labels: Labels, shape: tuple[int, int]) -> None:
    """Raise ``LabelsError`` unless ``labels`` is an integer (H, W) image of ``shape``, ≥ 0."""
    if labels.ndim != 2:
        raise LabelsError(f"A label image has two dimensions; this one has {labels.ndim}.")
    if labels.dtype.kind not in "iu":
        raise LabelsError(f"A label image holds integers; this one holds {labels.dtype}.")
    if labels.shape != tuple(shape):
        raise LabelsError(
            f"The label image is {labels.shape[1]}×{labels.shape[0]} px"
            f" but its image is {shape[1]}×{shape[0]} px."
        )
    if labels.size and labels.dtype.kind == "i" and int(labels.min()) < 0:
        raise LabelsError("A label image holds no negative numbers; this one does.")
    if labels.size and int(labels.max()) > np.iinfo(np.uint32).max:
        raise LabelsError("A label image holds numbers up to 4294967295; this one goes beyond.")


def cell_ids(labels: Labels) -> NDArray[np.int64]:
    """The ids present, ascending, without the background."""
    if labels.size == 0:
        return np.zeros(0, np.int64)
    flat = labels.ravel()
    # Of neighbours in a row that are equal one is enough: far fewer than the pixels.
    seen = np.append(flat[1:][flat[1:] != flat[:-1]], flat[0])
    if _takes_table(int(seen.max()), seen.size):
        ids = np.flatnonzero(np.bincount(seen.astype(np.intp)))
    else:
        ids = np.unique(seen)
    return ids[ids > 0].astype(np.int64)


def _takes_table(largest: int, values: int) -> bool:
    """Whether a lookup table of all ids to ``largest`` is cheaper than sorting ``values``."""
    return largest < max(_SMALL_TABLE, _TABLE_PER_VALUE * values)


def compact(labels: Labels) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """``labels`` with ids replaced by 1 … n in ascending order, and the old ids (n,)."""
    ids = cell_ids(labels)
    if ids.size and not _takes_table(int(ids[-1]), labels.size):
        index = np.searchsorted(ids, labels) + 1
        return np.where(labels > 0, index, 0), ids
    table = np.zeros((int(ids[-1]) if ids.size else 0) + 1, np.intp)
    table[ids] = np.arange(1, ids.size + 1)
    return table[labels], ids


def relabel(labels: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """``labels`` with ids 1 … n in the smallest dtype (uint16 or uint32), and the old ids (n,)."""
    index, ids = compact(labels)
    return index.astype(np.uint16 if ids.size <= 0xFFFF else np.uint32), ids


def cell_geometry(labels: Labels) -> CellGeometry:
    """Boxes, areas and centroids of all cells, from runs of equal pixels in a row.

    A row crosses a cell in a run or two: far fewer than its pixels.
    """
    at, lengths = _runs(labels)
    index, ids = compact(labels.ravel()[at])
    inside = index > 0
    at, lengths, cell, n = at[inside], lengths[inside], index[inside] - 1, ids.size
    y, x0 = np.divmod(at, max(1, labels.shape[1]))
    x1 = x0 + lengths
    boxes = np.zeros((n, 4), np.int32)
    boxes[:, :2] = np.iinfo(np.int32).max
    for column, reduce, edge in (
        (0, np.minimum, x0),
        (1, np.minimum, y),
        (2, np.maximum, x1),
        (3, np.maximum, y + 1),
    ):
        reduce.at(boxes[:, column], cell, edge.astype(np.int32))
    areas = np.bincount(cell, weights=lengths, minlength=n)
    middles = ((x0 + x1 - 1) / 2, y)
    sums = [np.bincount(cell, weights=lengths * middle, minlength=n) for middle in middles]
    centroids = np.stack(sums, axis=1) / np.maximum(areas, 1)[:, None]
    inner = _nearest_pixels(centroids, cell, (y, x0, x1))
    return CellGeometry(ids, boxes, areas.astype(np.int64), centroids, inner)


def _nearest_pixels(
    centroids: NDArray[np.float64], cell: NDArray[np.intp], runs: tuple[NDArray[np.intp], ...]
) -> NDArray[np.int64]:
    """(n, 2) x, y: each cell's pixel nearest to its centroid, of ``runs`` (rows, firsts, ends)."""
    y, x0, x1 = runs
    middle_x, middle_y = centroids[cell].T
    x = np.clip(np.rint(middle_x).astype(np.intp), x0, x1 - 1)
    away = (x - middle_x) ** 2 + (y - middle_y) ** 2
    least = np.full(len(centroids), np.inf)
    np.minimum.at(least, cell, away)
    (nearest,) = np.nonzero(away == least[cell])
    found = np.zeros((len(centroids), 2), np.int64)
    found[cell[nearest]] = np.stack([x[nearest], y[nearest]], axis=1)
    return found


def _runs(*images: Labels) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where runs of equal pixels in a row begin, as flat indices, and their lengths.

    With several images of one shape, all of them are constant along a run.
    """
    starts = np.zeros(images[0].shape, bool)
    starts[:, :1] = True
    for image in images:
        starts[:, 1:] |= image[:, 1:] != image[:, :-1]
    at = np.flatnonzero(starts)
    return at, np.diff(at, append=starts.size)


def iou_pairs(
    a: Labels, b: Labels
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """All overlapping pairs of cells: rows into ``cell_ids(a)``, ``cell_ids(b)``, and their IoU.

    Sparse, so that thousands of cells on either side cost no n × m matrix, and from runs of equal
    pixels in a row, far fewer than the pixels.
    """
    if a.shape != b.shape:
        raise LabelsError(f"Label images of shapes {a.shape} and {b.shape} cannot be compared.")
    at, lengths = _runs(a, b)
    first, ids_a = compact(a.ravel()[at])
    second, ids_b = compact(b.ravel()[at])
    areas_a = np.bincount(first, weights=lengths, minlength=ids_a.size + 1)
    areas_b = np.bincount(second, weights=lengths, minlength=ids_b.size + 1)
    both = (first > 0) & (second > 0)
    keys, pair = np.unique(
        first[both].astype(np.int64) * (ids_b.size + 1) + second[both], return_inverse=True
    )
    shared = np.bincount(pair, weights=lengths[both], minlength=keys.size)
    row, column = np.divmod(keys, ids_b.size + 1)
    union = areas_a[row] + areas_b[column] - shared
    return row - 1, column - 1, (shared / np.maximum(union, 1)).astype(np.float32)


def mostly_in(labels: Labels, mask: NDArray[np.bool_]) -> list[int]:
    """The cells of which more than half lies in ``mask`` (H, W), ascending."""
    index, ids = compact(labels)
    areas = np.bincount(index.ravel(), minlength=ids.size + 1)
    inside = np.bincount(index[mask], minlength=ids.size + 1)
    return [int(label) for label in ids[2 * inside[1:] > areas[1:]]]


def diameters(labels: Labels) -> NDArray[np.float64]:
    """Diameter of the circle of equal area of each cell, px, in order of ids (n,)."""
    counts = np.bincount(compact(labels)[0].ravel())[1:]
    return 2.0 * np.sqrt(counts / np.pi)


def median_diameter(labels: Labels) -> float:
    """Median of ``diameters`` (0.0 without cells): cellpose's measure of an image's cell size."""
    values = diameters(labels)
    return float(np.median(values)) if values.size else 0.0


def encode(labels: Labels) -> tuple[bytes, str]:
    """Raw little-endian C-order bytes and the dtype's name, "uint16" or "uint32"."""
    top = int(labels.max()) if labels.size else 0
    if labels.dtype == np.uint16 or (labels.dtype != np.uint32 and top <= 0xFFFF):
        name = "uint16"
    else:
        name = "uint32"
    return np.ascontiguousarray(labels, _DTYPES[name]).tobytes(), name


def decode(raw: bytes, shape: tuple[int, int], dtype: str) -> Labels:
    """The label image in ``raw`` (see ``encode``); ``LabelsError`` if the length does not fit."""
    if dtype not in _DTYPES:
        raise LabelsError(f"Label bytes are uint16 or uint32, not {dtype}.")
    kind = _DTYPES[dtype]
    height, width = shape
    if height < 0 or width < 0 or len(raw) != height * width * kind.itemsize:
        raise LabelsError(
            f"{len(raw)} bytes are no {width}×{height} label image of {dtype}"
            f" ({height * width * kind.itemsize} bytes)."
        )
    return np.frombuffer(raw, kind).reshape(height, width).astype(np.dtype(dtype))


def fragments(labels: Labels) -> NDArray[np.int64]:
    """Ids of cells that lie in more than one 8-connected piece, ascending."""
    index, ids = compact(labels)
    if ids.size == 0:
        return ids
    starts = np.ones(index.shape, bool)
    starts[:, 1:] = index[:, 1:] != index[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(index.shape) - 1
    cell_of_run = index[starts]
    root = _components(_touching_runs(index, runs), cell_of_run.size)
    pieces = np.unique(root[cell_of_run > 0])
    per_cell = np.bincount(cell_of_run[pieces], minlength=ids.size + 1)[1:]
    return ids[per_cell > 1]


def _touching_runs(index: NDArray[np.intp], runs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pairs (m, 2) of runs in neighbouring rows of one cell that touch, corners included."""
    width = index.shape[1]
    pairs = []
    for shift in (-1, 0, 1):
        upper = slice(max(0, -shift), width - max(0, shift))
        lower = slice(max(0, shift), width - max(0, -shift))
        same = (index[:-1, upper] == index[1:, lower]) & (index[:-1, upper] > 0)
        pairs.append(np.stack([runs[:-1, upper][same], runs[1:, lower][same]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def _components(pairs: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The smallest member of each node's component, by repeated minimum and pointer jumping."""
    root = np.arange(count)
    while True:
        before = root.copy()
        low = np.minimum(root[pairs[:, 0]], root[pairs[:, 1]])
        for side in (0, 1):
            np.minimum.at(root, root[pairs[:, side]], low)
            np.minimum.at(root, pairs[:, side], low)
        root = root[root]
        if np.array_equal(root, before):
            return root

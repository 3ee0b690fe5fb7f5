"""Vectors that say what a cell or an image looks like: near ones look alike. Numpy only.

They are kept as float16: a cell's takes 128 bytes, and a hundred thousand cells fit in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import cell_geometry

SIZE = 64  # numbers in a cell's
_STORED = np.dtype("<f2")
_FAR = 65504.0  # the largest float16

Vectors = NDArray[np.float32]
Raw = bytes | memoryview  # as one database or another gives it


def pack(vectors: NDArray[np.floating]) -> list[bytes]:
    """Each row of (n, d) as float16, little-endian."""
    rows = np.clip(np.nan_to_num(vectors), -_FAR, _FAR).astype(_STORED)
    return [row.tobytes() for row in rows]


def unpack(raw: Raw) -> Vectors:
    """What ``pack`` made of a row: (d,)."""
    return np.frombuffer(raw, _STORED).astype(np.float32)


def unpacked(raw: Raw | None) -> Vectors | None:
    """``unpack``; None of nothing, and of what no ``pack`` made."""
    return None if not raw or len(raw) % _STORED.itemsize else unpack(raw)


def unpack_many(raw: Sequence[Raw]) -> Vectors:
    """(n, d) of rows that ``pack`` made, all of one size; (0, ``SIZE``) of none.

    Raises ``ValueError`` when they differ in size.
    """
    if not raw:
        return np.zeros((0, SIZE), np.float32)
    if len({len(each) for each in raw}) > 1:
        raise ValueError("The vectors differ in size.")
    joined = np.frombuffer(b"".join(raw), _STORED)
    return joined.reshape(len(raw), -1).astype(np.float32)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows (n, d) scaled to length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def projected(vectors: NDArray[np.floating], size: int = SIZE) -> Vectors:
    """(n, d) → (n, ``size``), distances kept as far as ``size`` allows, the same at every call.

    Random signs (Achlioptas, "Database-friendly random projections", 2003).
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (vectors.shape[1], size))
    return np.asarray(vectors @ signs / np.sqrt(size), np.float32)


def measured(planes: NDArray[np.float32], labels: NDArray[Any]) -> Vectors:
    """(n, ``SIZE``) of unit length from what can be measured of the cells of ``labels`` (H, W):
    size, shape, and mean and spread of each normalised plane (C, H, W) within.
    """
    geometry = cell_geometry(labels)
    if not geometry.labels.size:
        return np.zeros((0, SIZE), np.float32)
    boxes = geometry.boxes.astype(float)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area = geometry.areas.astype(float)
    columns = [np.log(area / 700.0), 2 * np.abs(np.log(width / height)), area / (width * height)]
    owner = np.searchsorted(geometry.labels, labels.ravel())
    inside = labels.ravel() > 0
    owner, count = owner[inside], geometry.labels.size
    for plane in planes:
        values = plane.ravel()[inside].astype(float)
        mean = np.bincount(owner, values, minlength=count) / area
        square = np.bincount(owner, values**2, minlength=count) / area
        columns += [2 * mean, 4 * np.sqrt(np.maximum(square - mean**2, 0))]
    # The one keeps lengths apart when vectors are scaled to unit length.
    features = np.column_stack([*columns, np.ones(count)])
    return unit(projected(features))

"""What the segmenter said of an image, kept in three bytes a pixel.

With it, thresholds can be changed and a missed cell be added without running the network again.
Flows and cell probability are rounded to 1/20: over the 200 steps of the dynamics the rounding
moves a point by a fraction of a pixel, and thresholds are set in tenths. Numpy and zlib only; the
dynamics are those of ``flows``.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_UP_TO = 4096 * 4096  # px of an image; larger ones are never held in floats at once
_MAGIC = b"CLF1"
_HEADER = struct.Struct("<4sIII")  # magic, height, width, Euler steps
_PER_UNIT = 20.0
_LIMIT = 6.35  # the largest value of an int8 at that scale; thresholds end at ±6
_NOWHERE = -6.0  # logit below which no threshold reaches: its flows are not kept
_LEVEL = 1


class FlowCacheError(ValueError):
    """Bytes that ``pack`` did not write."""


@dataclass(frozen=True)
class CachedFlows:
    """``values`` (3, H, W) int8: dy, dx (five times unit length) and logit, in twentieths."""

    values: NDArray[np.int8]
    niter: int  # Euler steps at the diameter the image was segmented with

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) px."""
        return self.values.shape[1], self.values.shape[2]

    def window(self, top: int, left: int, bottom: int, right: int) -> tuple[Any, Any]:
        """Flows (2, h, w) and logits (h, w), float32, of a part of the image."""
        part = self.values[:, top:bottom, left:right].astype(np.float32) / np.float32(_PER_UNIT)
        return part[:2], part[2]


def pack(flows: NDArray[np.float32], cellprob: NDArray[np.float32], niter: int) -> bytes:
    """Flows (2, H, W) and logits (H, W) of a ``Segmentation`` as bytes."""
    values = np.concatenate([flows, cellprob[None]])
    values[:2, cellprob < _NOWHERE] = 0.0
    whole = np.rint(np.clip(values, -_LIMIT, _LIMIT) * _PER_UNIT).astype(np.int8)
    head = _HEADER.pack(_MAGIC, cellprob.shape[0], cellprob.shape[1], niter)
    return head + zlib.compress(whole.tobytes(), _LEVEL)


def unpack(raw: bytes) -> CachedFlows:
    """The inverse of ``pack``; ``FlowCacheError`` for other bytes."""
    try:
        magic, height, width, niter = _HEADER.unpack_from(raw)
        size = 3 * height * width
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(raw[_HEADER.size :], size + 1)
    except (struct.error, zlib.error) as error:
        raise FlowCacheError("These are no cached flows.") from error
    if magic != _MAGIC or len(plain) != size or not unpacking.eof:
        raise FlowCacheError("These are no cached flows.")
    values = np.frombuffer(plain, np.int8).reshape(3, height, width)
    return CachedFlows(values, niter)
